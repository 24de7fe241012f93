"""Error lines of servers that are told apart by their words, since their code is only ``ERR``."""

MAXCLIENTS_WORDS = "max number of clients"
"""``-ERR max number of clients reached`` and ``... + cluster connections reached`` (networking.c, acceptCommonHandler;
the same words since 2.6)."""

NOT_HEARD_BY_REPLICAS = "NOREPLICAS"
"""SETSLOT of Valkey since 8.0: a linked replica did not say in time that it has heard, so nothing was done
(cluster_legacy.c, clusterCommandSetSlot)."""

NO_SLOTS_OF_REPLICAS = "SETSLOT only with"
"""``-ERR Please use SETSLOT only with masters.`` (cluster.c, clusterCommand; in all lines since 6.2). Since 7.0 a
primary that gives its last slot away is a replica from then on, with no slot left open."""
