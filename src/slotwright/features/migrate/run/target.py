"""The target of a migration as a whole: who owns which slots now, how many keys it has, and its function libraries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from slotwright.cluster.events import Report, Warned
from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SLOT_COUNT, SlotSet
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.keys.side_by_side import together
from slotwright.nodes.answers import reading
from slotwright.ops.verify import Verifier
from slotwright.ports import Clock, Reply, ReplyError
from slotwright.server.capabilities import Capabilities, Capability
from slotwright.server.info import count_keys, parse_info
from slotwright.server.rdb.restore import Placing

Value = TypeVar("Value")

_PATIENCE_S = 180.0
_LOOK_S = 1.0
_RETRY_S = 0.3


@dataclass(slots=True)
class TargetCluster:
    """``owners`` are the last that were seen, ``nodes`` all members that answered then."""

    verifier: Verifier
    capabilities: Capabilities
    clock: Clock
    report: Report
    owners: tuple[tuple[Address, SlotSet], ...] = ()
    nodes: tuple[Address, ...] = ()

    async def look(self) -> Sequence[tuple[Address, SlotSet]]:
        """The primaries with their slots; where some slot is not served, a failover is waited for.

        Raises PartialError (``target-down``) where it does not come.
        """
        deadline = self.clock.now() + _PATIENCE_S
        is_told = False
        while True:
            owners = await self.glance()
            if sum(len(slots) for _, slots in owners) == SLOT_COUNT:
                self.owners = tuple(owners)
                return self.owners
            if not is_told:
                self.report(Warned("not every slot is served; waiting for a replica to take over", self.verifier.name))
                is_told = True
            if self.clock.now() > deadline:
                raise PartialError(
                    f"{self.verifier.name} does not serve all slots",
                    code="target-down",
                    where=self.verifier.name,
                    left="the source is as it was; the copy stays as far as it was made",
                    hint=f"slotwright repair {self.verifier.name}, then slotwright migrate --resume",
                )
            await self.clock.sleep(_RETRY_S)

    async def glance(self) -> list[tuple[Address, SlotSet]]:
        """The primaries as they are seen now, with those of their slots that are served."""
        try:
            survey = (await self.verifier.look(with_canaries=False, timeout_s=_LOOK_S)).survey
        except ServerError:
            return []
        self.nodes = tuple(node.address for node in survey.nodes if node.is_reachable and node.address is not None)
        return [
            (node.address, node.slots & survey.served)
            for node in survey.nodes
            if node.role is Role.PRIMARY and node.is_reachable and node.address is not None and node.slots
        ]

    async def count(self) -> int:
        """Keys on all primaries."""
        texts = await self._patiently(
            lambda: together([self.ask(address, "INFO", "keyspace") for address, _ in self.owners])
        )
        total = 0
        for (address, _), text in zip(self.owners, texts, strict=False):
            with reading(address, "INFO"):
                total += count_keys(parse_info(_text(text)))
        return total

    async def ask(self, address: Address, *arguments: str | bytes | int, timeout_s: float = 60.0) -> Reply:
        """One command to one node; the connection is made anew after a failure."""
        connection = await self.verifier.pool.connection(address)
        try:
            return await connection.call(*arguments, timeout_s=timeout_s)
        except ServerError:
            await self.verifier.pool.drop(address)
            raise

    async def take_functions(self, libraries: Sequence[bytes], payload: bytes | None, *, is_exact: bool) -> int:
        """Every library of the source on every primary; ``is_exact``: and no other. ``payload`` is the source's
        FUNCTION DUMP, ``libraries`` what FUNCTION LIST WITHCODE gave. Returns how many there are.

        Raises ServerError (``functions-refused``).
        """
        if not libraries and not is_exact:
            return 0
        if not self.capabilities.may_have(Capability.FUNCTIONS):
            raise ServerError(
                f"{self.verifier.name} can't have functions, and the source has some",
                code="functions-refused",
                where=self.verifier.name,
                hint="a newer server version for the cluster, or scripts (EVAL) instead of functions",
            )
        await self._patiently(lambda: self._take(libraries, payload, is_exact=is_exact))
        return len(libraries)

    async def functions(self, address: Address) -> list[bytes]:
        """The code of each library of one node."""
        return library_codes(await self.ask(address, "FUNCTION", "LIST", "WITHCODE"))

    async def _take(self, libraries: Sequence[bytes], payload: bytes | None, *, is_exact: bool) -> None:
        wanted = {*libraries}
        for address, _ in self.owners:
            there = {*await self.functions(address)}
            if wanted == there or (wanted < there and not is_exact):
                continue
            how: list[str | bytes] = ["FLUSH"]
            if wanted and payload is not None:
                how = [
                    "RESTORE",
                    Placing(self.capabilities.version).functions(payload),
                    "FLUSH" if is_exact else "REPLACE",
                ]
            try:
                await self.ask(address, "FUNCTION", *how)
            except ReplyError as error:
                raise ServerError(
                    f"{address} refuses the functions of the source",
                    code="functions-refused",
                    where=str(address),
                    seen=str(error),
                ) from error

    async def _patiently(self, work: Callable[[], Awaitable[Value]]) -> Value:
        """``work`` on all owners; once more when one of them has gone meanwhile."""
        try:
            return await work()
        except NodeUnreachableError:
            await self.look()
            return await work()


def library_codes(reply: Reply) -> list[bytes]:
    """From FUNCTION LIST WITHCODE."""
    result = []
    for library in reply if isinstance(reply, list) else []:
        fields = library if isinstance(library, list) else []
        values = dict(zip(map(_text, fields[::2]), fields[1::2], strict=False))
        code = values.get("library_code")
        if isinstance(code, bytes):
            result.append(code)
    return result


def _text(reply: object) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else ""
