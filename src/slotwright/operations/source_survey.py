"""Read everything of a source that a plan is made from, changing nothing in it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.model.command_table import CommandTable
from slotwright.model.migration import DatabaseMap
from slotwright.model.source_survey import KeySample, Right, SourceSurvey
from slotwright.model.topology import Address, Mode
from slotwright.operations.key_sampling import Pace, Watcher, pings_ms, sample_keys
from slotwright.operations.observe import setting_value
from slotwright.operations.source_rights import find_rights
from slotwright.ports import Clock, Connection, Dialer, Reply, ReplyError
from slotwright.wire import source_info
from slotwright.wire.command_table import parse_command_table
from slotwright.wire.flavor import has_functions, version_from_info
from slotwright.wire.info import Info, parse_info

_PINGS = 10


async def survey_source(
    dialer: Dialer,
    address: Address,
    clock: Clock,
    names: DatabaseMap,
    pace: Pace | None = None,
    watch: Watcher | None = None,
    user: str = "",
) -> SourceSurvey:
    """Takes a second, and the time for the keys (:class:`Pace`), on a connection of its own. ``user`` is
    whom the dialer logs in as ("": the default user), for where the server doesn't tell.

    Raises what dialling raises; NodeUnreachableError ``loading``; ServerError ``not-permitted`` where our user may not
    even INFO.
    """
    connection = await dialer.dial(address, timeout_s=5.0)
    try:
        return await _Survey(connection, clock, user or "default").take(names, pace or Pace(), watch)
    finally:
        await connection.close()


class _Survey:
    def __init__(self, connection: Connection, clock: Clock, user: str) -> None:
        self._connection = connection
        self._clock = clock
        self._user = user
        self._unread: list[str] = []

    async def take(self, names: DatabaseMap, pace: Pace, watch: Watcher | None) -> SourceSurvey:
        before, began = await self._info(), self._clock.now()
        if before.get("loading") == "1":
            where = str(self._connection.address)
            raise NodeUnreachableError(f"{where} is still loading its data", code="loading", where=where)
        table = await self._commands()
        survey = await self._standing(before, table)
        pings = await pings_ms(self._connection, self._clock, _PINGS)
        await self._clock.sleep(max(0.0, pace.span_s - (self._clock.now() - began)))
        after, span_s = await self._info(), self._clock.now() - began
        survey = replace(
            survey,
            databases=source_info.databases(after),
            traffic=source_info.traffic(before, after, span_s, table, pings[_PINGS // 2]),
        )
        keys = await self._keys(survey, names, pace, watch)
        return replace(survey, keys=keys, unread=tuple(self._unread))

    async def _standing(self, info: Info, table: CommandTable) -> SourceSurvey:
        """All that is no rate and no key."""
        version = version_from_info(info)
        settings = await self._settings()
        role, primary, link_is_up = source_info.role_and_primary(info)
        rights = await find_rights(self._connection, version, self._user)
        default_user = await self._quietly("ACL", "GETUSER", "default")
        protected = settings.get("protected-mode")
        return SourceSurvey(
            address=self._connection.address,
            version=version,
            mode=Mode.CLUSTER if info.get("cluster_enabled") == "1" else Mode.SINGLE,
            role=role,
            primary=primary,
            link_is_up=link_is_up,
            run_id=info.get("run_id", ""),
            uptime_s=int(info.get("uptime_in_seconds", "0")),
            functions=source_info.library_names(
                await self._read("FUNCTION", "LIST") if has_functions(version) else None
            ),
            modules=source_info.module_names(await self._read("MODULE", "LIST")),
            memory=source_info.memory(info),
            saving=source_info.saving(info, settings),
            feeding=source_info.feeding(info, settings),
            calls=source_info.calls(info),
            commands=table,
            rights=rights,
            notifications=settings.get("notify-keyspace-events", ""),
            has_password=source_info.wants_password(default_user),
            protected_mode=None if protected is None else protected == "yes",
        )

    async def _info(self) -> dict[str, str]:
        replies = await self._connection.pipeline([("INFO",), ("INFO", "commandstats")])
        for reply in replies:
            if isinstance(reply, ReplyError):
                raise _refused(self._connection.address, reply)
        return {name: value for reply in replies for name, value in parse_info(_text(reply)).items()}

    async def _commands(self) -> CommandTable:
        """Empty where it is refused, or can't be understood."""
        reply = await self._read("COMMAND")
        try:
            return CommandTable() if reply is None else parse_command_table(reply)
        except ValueError as error:
            self._unread.append(f"COMMAND: {error}")
            return CommandTable()

    async def _settings(self) -> dict[str, str]:
        """By name; those that can't be read are missing, and said to be."""
        replies = await self._connection.pipeline([("CONFIG", "GET", name) for name in source_info.SETTINGS])
        first = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
        if first is not None:
            self._unread.append(f"CONFIG GET: {first}")
        found = zip(source_info.SETTINGS, map(setting_value, replies), strict=True)
        return {name: value for name, value in found if value is not None}

    async def _keys(self, survey: SourceSurvey, names: DatabaseMap, pace: Pace, watch: Watcher | None) -> KeySample:
        if survey.rights.of("scan") in (Right.DENIED, Right.ABSENT):
            return KeySample(total=survey.total_keys, is_complete=False)
        try:
            keys = await sample_keys(self._connection, self._clock, survey.databases, names, pace, watch)
        except ReplyError as error:
            self._unread.append(f"the keys: {error}")
            return KeySample(total=survey.total_keys, is_complete=False)
        if keys.looked_at and not keys.bytes_by_slot:
            self._unread.append("MEMORY USAGE: sizes of keys are not known")
        return keys

    async def _read(self, *words: str) -> Reply:
        """None where it is refused, which is kept for the survey."""
        try:
            return await self._connection.call(*words)
        except ReplyError as error:
            self._unread.append(f"{' '.join(words)}: {error}")
            return None

    async def _quietly(self, *words: str) -> Reply:
        with suppress(ReplyError):
            return await self._connection.call(*words)
        return None


def _refused(address: Address, error: ReplyError) -> ServerError:
    where = str(address)
    if error.code == "NOAUTH":
        return AuthenticationError(f"{where} wants a password", where=where, seen=str(error))
    if error.code == "DENIED":
        what = f"{where} is in protected mode: without a password it lets in its own machine only"
        return NodeUnreachableError(what, code="protected-mode", where=where, seen=str(error).partition(".")[0])
    hint = "ACL SETUSER NAME +info, for the user that slotwright logs in as" if error.code == "NOPERM" else ""
    return ServerError(f"{where} does not answer INFO", code="not-permitted", where=where, seen=str(error), hint=hint)


def _text(reply: Reply | ReplyError) -> str:
    return reply.decode(errors="replace") if isinstance(reply, bytes) else ""
