"""Which database's keys go where: databases of a source, and the names that they get in a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Named = tuple[int, bytes]
"""Database and key, as the source has them, unless something else is said."""


class DatabaseRule(StrEnum):
    """What becomes of databases other than 0, which a cluster (before Valkey 9) does not have."""

    REFUSE = "refuse"
    """Only database 0 is moved, and a source that has keys in others is refused."""
    PREFIX = "prefix"
    """Keys of database 3 get the prefix ``db3:`` (:attr:`DatabaseMap.template`), those of database 0 none."""
    KEEP = "keep"
    """The same database in the cluster: Valkey 9 with ``cluster-databases`` large enough."""


@dataclass(frozen=True, slots=True)
class DatabaseMap:
    """Where a key of the source lives in the target. ``template`` has ``{db}`` in it, and is for PREFIX alone."""

    rule: DatabaseRule = DatabaseRule.REFUSE
    template: str = "db{db}:"

    @property
    def is_renaming(self) -> bool:
        """Whether keys may be called otherwise in the target."""
        return self.rule is DatabaseRule.PREFIX

    def target(self, named: Named) -> Named:
        """The database and key in the cluster."""
        database, key = named
        if database == 0 or self.rule is not DatabaseRule.PREFIX:
            return named
        return 0, self.prefix(database) + key

    def prefix(self, database: int) -> bytes:
        """What is put before the keys of ``database``."""
        if database == 0 or self.rule is not DatabaseRule.PREFIX:
            return b""
        return self.template.replace("{db}", str(database)).encode()
