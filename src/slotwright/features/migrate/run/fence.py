"""Keeping clients from writing to the source: for the moment of the cutover, and afterwards for good.

*Held* writes wait: ``CLIENT PAUSE ... WRITE`` (6.2 and later) keeps every client that wants to write waiting, scripts
too, while reads are answered. It ends by itself when it is not renewed, so if we die the source goes on.

*Refused* writes get an error at once: with ``min-replicas-to-write`` at a number that nobody reaches, a server answers
NOREPLICAS (server.c, processCommand). Before 7.0 a script's own writes are not asked (seen with 6.2.5), so there the
right to run scripts is taken from every user as well. Nothing is written to the source's configuration file: a restart
undoes it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.features.migrate.model.migration import ReadOnly
from slotwright.features.migrate.model.surveys import Right
from slotwright.features.migrate.survey.source_info import right_of
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, Reply, ReplyError
from slotwright.server.capabilities import Capabilities, Capability
from slotwright.server.integers import parse_integer

_PAUSE_MS = 3000
_RENEW_S = 0.5
_NOBODY_REACHES = 1_000_000
_SCRIPTS = ("-eval", "-evalsha")


@dataclass(slots=True)
class Fence:
    """The fence of one server of the source."""

    pool: ConnectionPool
    address: Address
    capabilities: Capabilities
    clock: Clock
    _renewing: asyncio.Task[None] | None = field(default=None, repr=False)

    @property
    def can_hold(self) -> bool:
        """Whether writes can be made to wait, rather than be refused."""
        return self.capabilities.has(Capability.WRITE_PAUSE)

    @property
    def how(self) -> str:
        """How writes are kept off during the cutover, for people."""
        return "CLIENT PAUSE WRITE" if self.can_hold else "min-replicas-to-write"

    def of(self, address: Address) -> Fence:
        """That of another server of the same source."""
        return Fence(self.pool, address, self.capabilities, self.clock)

    async def hold(self) -> None:
        """Let writes wait from now on until :meth:`release`, or until seconds after our death."""
        await self._pause()
        self._renewing = asyncio.create_task(self._renew())

    async def release(self) -> None:
        """Let them go on: they are done, or refused where :meth:`refuse` came between."""
        if self._renewing is not None:
            self._renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError, ServerError, ReplyError):
                await self._renewing
            self._renewing = None
            # A server that is away lets them go on by itself.
            with contextlib.suppress(ServerError):
                await self._call("CLIENT", "UNPAUSE")

    async def before(self) -> ReadOnly:
        """What :meth:`refuse` will change, as it is now. To be kept before it is changed."""
        least = await self._number("min-replicas-to-write")
        lag = await self._number("min-replicas-max-lag")
        return ReadOnly(str(self.address), least, lag, () if self._asks_scripts else await self._rights())

    async def refuse(self) -> None:
        """Refuse all writes from now on. Raises ServerError (``fence-refused``) where the server says otherwise."""
        # A lag of 0 would switch the check off.
        if await self._setting("min-replicas-max-lag") == "0":
            await self._call("CONFIG", "SET", "min-replicas-max-lag", 10)
        await self._call("CONFIG", "SET", "min-replicas-to-write", _NOBODY_REACHES)
        if not self._asks_scripts:
            for name, _ in await self._rights():
                await self._call("ACL", "SETUSER", name, *_SCRIPTS)
        if not await self.is_refusing():
            raise self._unchanged("min-replicas-to-write")

    async def is_refusing(self) -> bool:
        """Whether writes are refused now, as the server says."""
        return await self._number("min-replicas-to-write") >= _NOBODY_REACHES

    async def allow(self, before: ReadOnly) -> None:
        """As it was before. Raises ServerError (``fence-refused``) where the server says otherwise."""
        for name, rights in before.rights:
            await self._call("ACL", "SETUSER", name, *rights.split())
        for setting, value in (
            ("min-replicas-max-lag", before.max_lag),
            ("min-replicas-to-write", before.min_replicas),
        ):
            await self._call("CONFIG", "SET", setting, value)
            if await self._setting(setting) != str(value):
                raise self._unchanged(setting)

    def _unchanged(self, setting: str) -> ServerError:
        where = str(self.address)
        return ServerError(
            f"{where} took another {setting} and says that it has the old one", code="fence-refused", where=where
        )

    @property
    def _asks_scripts(self) -> bool:
        return self.capabilities.has(Capability.SCRIPT_REPLICA_CHECK)

    async def _renew(self) -> None:
        while True:
            await self.clock.sleep(_RENEW_S)
            # Who holds has to see in the end that nothing came through, whether this worked or not.
            with contextlib.suppress(ServerError):
                await self._pause()

    async def _pause(self) -> None:
        await self._call("CLIENT", "PAUSE", _PAUSE_MS, "WRITE")

    async def _rights(self) -> tuple[tuple[str, str], ...]:
        names = await self._call("ACL", "USERS")
        result = []
        for name in _texts(names):
            reply = await self._call("ACL", "GETUSER", name)
            fields = reply if isinstance(reply, list) else []
            rights = dict(zip(map(_text, fields[::2]), fields[1::2], strict=False))
            result.append((name, _text(rights.get("commands", b""))))
        return tuple(result)

    async def _setting(self, name: str) -> str:
        reply = await self._call("CONFIG", "GET", name)
        texts = _texts(reply)
        if len(texts) != 2:
            raise ServerError(f"{self.address} does not tell {name}", code="fence-refused", where=str(self.address))
        return texts[1]

    async def _number(self, name: str) -> int:
        value = await self._setting(name)
        with reading(self.address, f"CONFIG GET {name}"):
            return parse_integer(value)

    async def _call(self, *arguments: str | int) -> Reply:
        connection = await self.pool.connection(self.address)
        try:
            return await connection.call(*arguments)
        except ReplyError as error:
            what = " ".join(str(word) for word in arguments[:3])
            raise ServerError(
                f"{self.address} does not know {arguments[0]}: it is renamed or removed there"
                if right_of(str(error))[0] is Right.ABSENT
                else f"{self.address} does not allow {what}",
                code="fence-refused",
                where=str(self.address),
                seen=str(error),
                hint="restart it without rename-command for this, or give a replica of it that has it as the source"
                if right_of(str(error))[0] is Right.ABSENT
                else "the user of the migration needs +config +client +acl, or +@admin",
            ) from error
        except ServerError:
            await self.pool.drop(self.address)
            raise


def _texts(reply: Reply) -> list[str]:
    return [_text(candidate) for candidate in reply] if isinstance(reply, list) else []


def _text(reply: object) -> str:
    return reply.decode(errors="surrogateescape") if isinstance(reply, bytes) else ""
