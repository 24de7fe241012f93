"""Keeping a target from expiring keys by itself while it lags behind the source.

The source says DEL when a key's time has come, as it does to its replicas. A target that does not wait for that loses
what was prolonged meanwhile, and counts anew from nothing what had a time to live.

Valkey since 8.1 can be told to wait: with ``import-mode yes`` a primary neither expires nor evicts keys, and to a
connection that said ``CLIENT IMPORT-SOURCE ON`` every key is there, also one whose time has come. For other clients it
is gone, but not deleted (getExpirationPolicyWithFlags in expire.c of 9.1; expireIfNeededWithDictIndex in db.c of 8.1).
A replica takes the setting with it when it becomes a primary, so every node is told. It is set back at the end of each
run.

For all other targets deadlines are said later than they are (:attr:`ExpiryPause.later_ms`) until the target has caught
up; then they are set right (:meth:`ExpiryPause.settle`). From then on the target lags by moments: a key that goes too
early is seen by a reply, or by the comparison, as each key that changes is compared before the cutover.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from slotwright.cluster.events import Began, Ended, Warned
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, NodeUnreachableError, ServerError
from slotwright.features.migrate.model.migration import PausedExpiry
from slotwright.features.migrate.replay.deferred_expiry import LATER_MS
from slotwright.features.migrate.run.restore_expiry import take_off
from slotwright.features.migrate.run.target import TargetCluster
from slotwright.keys.side_by_side import together
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import setting_value
from slotwright.ports import Dialer, Reply, ReplyError
from slotwright.server.capabilities import Capability
from slotwright.server.resp_out import request

Keep = Callable[[PausedExpiry], None]
"""Notes durably what is changed in the target, before it is changed. Raises HostError."""

_GREETING = request("CLIENT", "IMPORT-SOURCE", "ON")
_TRIES = 5
_RELEASE_TRIES = 3
_RETRY_S = 0.5
_ANSWER_S = 2.0


@dataclass(slots=True)
class ExpiryPause:
    """Of one target. ``paused`` is what was changed there, by an earlier run as well."""

    cluster: TargetCluster
    dialer: Dialer
    keep: Keep
    paused: PausedExpiry = field(default_factory=PausedExpiry)
    _has_import_mode: bool = field(init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._has_import_mode = self.cluster.capabilities.has(Capability.IMPORT_MODE)

    @property
    def greeting(self) -> bytes:
        """The first command on a connection that writes, b"" for none."""
        return _GREETING if self._has_import_mode else b""

    @property
    def later_ms(self) -> int:
        """By how much deadlines have to be later while the target lags; 0 where it waits by itself."""
        return 0 if self._has_import_mode else LATER_MS

    async def hold(self) -> None:
        """From now on the target may lag. To be called before it is written to, and whenever its owners changed: a node
        that was started anew has forgotten it. Raises HostError where it can't be noted."""
        async with self._turn:
            if self._has_import_mode:
                self._has_import_mode = await self._import()
            if not self._has_import_mode and not self.paused.has_later_deadlines:
                self._note(replace(self.paused, has_later_deadlines=True))

    async def settle(self) -> None:
        """The target has caught up: where deadlines are later, give every key its own. Whoever writes has to say the
        source's deadlines by now. Raises ServerError (``deadlines-later``), and what waiting for an owner raises."""
        async with self._turn:
            if not self.paused.has_later_deadlines:
                return
            text = "give the target's keys their own deadlines"
            self.cluster.report(Began("deadlines", text))
            count, line = 0, ""
            for _ in range(_TRIES):
                await self.cluster.look()
                try:
                    count += await self._take_off()
                    break
                except (NodeUnreachableError, ReplyError) as error:
                    line = str(error)
                    await self.cluster.clock.sleep(_RETRY_S)
            else:
                self.cluster.report(Ended("deadlines", text, is_ok=False))
                raise ServerError(
                    f"the deadlines in {self.cluster.verifier.name} could not be set right",
                    code="deadlines-later",
                    where=self.cluster.verifier.name,
                    seen=line,
                    left="keys of the target may expire too late; the source is as it was",
                    hint="slotwright check says what is wrong with the target; then slotwright migrate --resume",
                )
            self._note(replace(self.paused, has_later_deadlines=False))
            self.cluster.report(Ended("deadlines", f"{text}: {count:,} keys"))

    async def release(self) -> None:
        """Set ``import-mode`` back. A node that can't be told stays noted, and is warned of. Never raises."""
        async with self._turn:
            nodes = [Address.parse(text) for text in self.paused.import_mode]
            failed = [results for results in await together([self._set_back(node) for node in nodes]) if results]
            for where, line in failed:
                what = f"{where} may still have import-mode yes, and then expires and evicts nothing ({line})"
                self.cluster.report(Warned(f"{what}. On it: CONFIG SET import-mode no", where))
            left = tuple(where for where, _ in failed)
            if left != self.paused.import_mode:
                # With a full disk the next run sets it back once more.
                with contextlib.suppress(HostError):
                    self._note(replace(self.paused, import_mode=left))

    def _note(self, paused: PausedExpiry) -> None:
        self.keep(paused)
        self.paused = paused

    async def _import(self) -> bool:
        """Whether all nodes that answer are in import mode now. One that knows no such thing, or does not allow it,
        spoils it for all: what an operator has set himself is left as it is."""
        nodes = self.cluster.nodes
        result = await together([self._is_importing(node) for node in nodes])
        if ReplyError in map(type, result):
            return False
        todo = [node for node, is_on in zip(nodes, result, strict=True) if is_on is False]
        names = dict.fromkeys((*self.paused.import_mode, *map(str, todo)))
        if todo and len(names) > len(self.paused.import_mode):
            self._note(replace(self.paused, import_mode=tuple(names)))
        return all(await together([self._switch_on(node) for node in todo]))

    async def _is_importing(self, node: Address) -> bool | ReplyError | None:
        """None: it can't be asked just now."""
        try:
            value = setting_value(await self._config(node, "GET", "import-mode"))
        except ReplyError as error:
            return error
        except ServerError:
            return None
        return value == "yes" if value else ReplyError("ERR no such setting")

    async def _switch_on(self, node: Address) -> bool:
        try:
            await self._config(node, "SET", "import-mode", "yes")
        except ReplyError:
            return False
        except ServerError:
            # It went away just now; before it is written to again it is asked again.
            return True
        return True

    async def _set_back(self, node: Address) -> tuple[str, str] | None:
        """None, or who could not be told and why. A busy node is told again: one that is left so expires nothing."""
        line = ""
        for attempt in range(_RELEASE_TRIES):
            if attempt:
                await self.cluster.clock.sleep(_RETRY_S)
            try:
                await self._config(node, "SET", "import-mode", "no")
                return None
            except ReplyError as error:
                return str(node), str(error)
            except ServerError as error:
                line = str(error)
        return str(node), line

    async def _config(self, node: Address, *arguments: str) -> Reply:
        return await self.cluster.ask(node, "CONFIG", *arguments, timeout_s=_ANSWER_S)

    async def _take_off(self) -> int:
        async with ConnectionPool(self.dialer) as pool:
            has_expire_time = self.cluster.capabilities.has(Capability.EXPIRE_TIME)
            work = partial(take_off, pool, has_expire_time=has_expire_time)
            return sum(await together([work(address) for address, _ in self.cluster.owners]))
