"""Read everything of a source that a plan is made from, changing nothing in it."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.features.migrate.model.surveys import Right, SourceSurvey
from slotwright.features.migrate.survey import source_info
from slotwright.features.migrate.survey.rights import find_rights
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.model.sample import KeySample
from slotwright.keys.sample_keys import Pace, Watcher, sample_keys
from slotwright.nodes.answers import reading
from slotwright.nodes.observe import setting_value
from slotwright.ports import Clock, Connection, Dialer, Reply, ReplyError
from slotwright.server.capabilities import QUESTIONS, Capability, capabilities_from, version_from_info
from slotwright.server.commands.parse import parse_command_table
from slotwright.server.commands.table import CommandTable
from slotwright.server.info import Info, info_number, parse_info

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

    Raises what dialling raises; AnswerError; NodeUnreachableError ``loading``; ServerError ``not-permitted`` where our
    user may not even INFO.
    """
    connection = await dialer.dial(address, timeout_s=5.0)
    try:
        with reading(address, "what a survey asks (INFO, CONFIG GET, ACL, SCAN ...)"):
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
        pings = await self._pings_ms()
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
        capabilities = capabilities_from(version, await self._connection.pipeline(QUESTIONS))
        settings = await self._settings()
        role, primary, link_is_up = source_info.role_and_primary(info)
        rights = await find_rights(self._connection, capabilities, self._user)
        return SourceSurvey(
            address=self._connection.address,
            version=version,
            mode=Mode.CLUSTER if info.get("cluster_enabled") == "1" else Mode.SINGLE,
            role=role,
            primary=primary,
            primary_fault=source_info.primary_fault(info) if role is Role.REPLICA else "",
            link_is_up=link_is_up,
            takes_writes=role is Role.REPLICA and info.get("slave_read_only", "1") != "1",
            uptime_s=info_number(info, "uptime_in_seconds"),
            functions=source_info.library_names(
                await self._read("FUNCTION", "LIST") if capabilities.may_have(Capability.FUNCTIONS) else None
            ),
            modules=source_info.module_names(await self._read("MODULE", "LIST")),
            memory=source_info.memory(info),
            saving=source_info.saving(info),
            feeding=source_info.feeding(info, settings),
            calls=source_info.calls(info),
            commands=table,
            rights=rights,
            notifications=settings.get("notify-keyspace-events", ""),
        )

    async def _pings_ms(self) -> list[float]:
        """Round trips, sorted. An error reply is an answer, too."""
        took = []
        for _ in range(_PINGS):
            before = self._clock.now()
            await self._connection.pipeline([("PING",)])
            took.append((self._clock.now() - before) * 1e3)
        return sorted(took)

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
        result = zip(source_info.SETTINGS, map(setting_value, replies), strict=True)
        return {name: value for name, value in result if value is not None}

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

    async def _read(self, *arguments: str) -> Reply:
        """None where it is refused, which is kept for the survey."""
        try:
            return await self._connection.call(*arguments)
        except ReplyError as error:
            self._unread.append(f"{' '.join(arguments)}: {error}")
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
