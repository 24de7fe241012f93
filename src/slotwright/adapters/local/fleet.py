"""The fleet of a cluster that lives on this machine: one host, dialled as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.servers.resp import RespDialer
from slotwright.adapters.servers.streams import SocketStreamDialer
from slotwright.cluster.secret import Secret
from slotwright.ports import Dialer, Host, LoginDialer, StreamDialer


class LocalFleet:
    """Implements :class:`slotwright.ports.Fleet` for this machine. ``programs`` are the files that servers were started
    with before."""

    def __init__(
        self, login: Callable[[Secret | None, str], Dialer] = RespDialer, programs: Sequence[str] = ()
    ) -> None:
        self._host = LocalHost(programs)
        self._login = login

    def at(self, host: str) -> Host:
        """Every address is this machine."""
        return self._host

    def login(self, password: Secret | None, username: str) -> Dialer:
        """Straight."""
        return self._login(password, username)

    def login_on(self, host: str) -> LoginDialer:
        """The same."""
        return self.login

    def streams(self, password: Secret | None, username: str) -> StreamDialer:
        """Straight."""
        return SocketStreamDialer(password, username)

    async def close(self) -> None:
        """Nothing is open."""
