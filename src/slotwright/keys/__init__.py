"""The data plane: everything that reads, counts, compares, copies or moves keys, for all features.

Who does what:

- ``migrate_keys.py`` sends MIGRATE: batches, patience, login, and what is done where the outcome is not known.
- ``move_slots.py`` gives slots one owner, with their keys (`repair`); ``copy_keys.py`` copies the keys of old servers
  into a new cluster, and counts them (`rebuild`).
- ``node_keys.py`` asks one node about its keys, also about such as are not its own (ASKING); ``keyspace.py`` asks a
  whole cluster, or a stand-alone server, wherever a slot is. Both are a ``key_side.py`` of a comparison.
- ``scan.py`` walks with SCAN, SSCAN and HSCAN; ``sample_keys.py`` takes types and sizes from such a walk (`migrate`).
- ``slot_contents.py`` counts keys by slot, and finds keys that two nodes hold (`check`, `repair`).
- ``compare/`` says whether two sides have the same: ``comparer.py`` for whole keyspaces (`compare`, `migrate`),
  ``two_nodes.py`` for keys that two nodes hold, both by ``key_pair.py``.
- ``throttle/`` keeps all of that from hurting the servers' clients: ``rate_limiter.py``.
- ``model/`` has the values that are handed about.
"""
