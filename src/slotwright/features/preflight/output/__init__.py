"""The JSON of `preflight` (``preflight.py``; a host in it: ``host.py``, ``host_system.py``) and of `exec`."""
