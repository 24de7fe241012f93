"""A client that writes keys of its own all the time, and knows which of them were acknowledged.

A write that ended in an error is *indeterminate*: it may have been done. Only acknowledged ones can be lost.
"""

from __future__ import annotations

import threading
from types import TracebackType

from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import RedisError


class Ledger:
    """A context manager: it writes from its beginning to its end. ``keys`` is a pattern with one ``%d``."""

    def __init__(self, addresses: tuple[str, ...], password: str | None, keys: str = "ledger:%d") -> None:
        nodes = [ClusterNode(host, int(port)) for host, _, port in (address.rpartition(":") for address in addresses)]
        self._client = RedisCluster(startup_nodes=nodes, password=password, socket_timeout=5)
        self._keys = keys
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)
        self.acknowledged: list[int] = []
        self.indeterminate: list[int] = []

    def __enter__(self) -> Ledger:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ends.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _write(self) -> None:
        number = 0
        while not self._ends.is_set():
            number += 1
            try:
                self._client.set(self._keys % number, number)
            except RedisError:
                self.indeterminate.append(number)
                continue
            self.acknowledged.append(number)

    def lost(self) -> list[int]:
        """Acknowledged by now, and not there: what is written while this looks would never end it."""
        known = tuple(self.acknowledged)
        return [number for number in known if self._client.get(self._keys % number) != b"%d" % number]
