"""A small world: folders, server processes and the operator's state, behind the ports of the real one.

Every change to it is one *effect*, also to what the control machine keeps (``fuse.py``). When the operator's process is
killed, servers live on, as they do.

The order of effects in ``create`` is that of ``adapters/local/host.py``. A server is a member of the cluster that its
own ``nodes.conf`` describes, says ``cluster_state:ok`` some time after its start when all primaries run, and lets in
who knows its password.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from slotwright.cluster.node_files import ASIDE, MAP_ASIDE, MARKER, NODES_CONF, SERVER_CONF, Launch, NodeFiles
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SlotSet, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, HostError, NodeUnreachableError
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryFact, DirectoryState, HostFacts, NodeFacts, NodeQuery, ProcessId
from slotwright.ports import Argument, LoginDialer, Reply, ReplyError
from tests.fakes.doubles import FakeClock
from tests.fakes.fuse import Fuse
from tests.fakes.state import MemoryState

SETTLE_S = 0.05
"""How long after its start a server calls the cluster ok (2 s in real ones)."""

BUILT_IN = {
    "appendonly": "no",
    "cluster-node-timeout": "15000",
    "databases": "16",
    "masterauth": "",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "repl-diskless-sync-delay": "5",
    "requirepass": "",
}
AT_START_ONLY = frozenset({"databases"})
DATA = "dump.rdb"


@dataclass
class World(Fuse):
    """Everything that outlives a command. ``watch`` is called before each effect, when the one before has happened."""

    clock: FakeClock = field(default_factory=FakeClock)
    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    servers: dict[Address, Server] = field(default_factory=dict)
    next_pid: int = 100
    watch: Callable[[], None] = lambda: None
    state: MemoryState = field(init=False)

    def __post_init__(self) -> None:
        self.state = MemoryState(self.effect, self.burn)

    def burn(self, what: str) -> None:
        self.watch()
        super().burn(what)

    def kill(self, address: Address) -> None:
        """From outside: nothing is left but the folder, where a server with an append-only file has all of its keys."""
        server = self.servers.pop(address)
        if server.settings["appendonly"] == "yes":
            server.save()

    def fail_over(self, heir_id: str) -> None:
        """That replica is the primary of its shard from now on, in every map."""
        for server in self.servers.values():
            server.lines = failed_over(server.lines, heir_id)

    def server_of(self, node_id: str) -> Server | None:
        return next((server for server in self.servers.values() if server.id == node_id), None)


@dataclass
class Line:
    """One node in a map. ``announced`` is what redirections say in place of its address, where that is not ""."""

    id: str
    text: str
    is_primary: bool
    primary: str
    address: Address
    slots: SlotSet
    announced: str = ""


@dataclass
class Server:
    """A running server. The last fields are what a test lets it do or say besides; ``in_file`` is what it rewrote."""

    world: World
    address: Address
    directory: str
    process: ProcessId
    settings: dict[str, str]
    lines: list[Line]
    started: float
    keys: dict[str, tuple[str, float]] = field(default_factory=dict)
    offset: int = 100
    is_loading: bool = False
    is_mute: bool = False
    refuses: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    more_info: str = ""
    lag_bytes: int = 0
    skew_s: float = 0.0
    in_file: dict[str, str] = field(default_factory=dict)

    @property
    def me(self) -> Line:
        return next(line for line in self.lines if line.address == self.address)

    @property
    def id(self) -> str:
        return self.me.id if self.lines else "e" * 40

    @property
    def primary(self) -> Server | None:
        return self.world.server_of(self.me.primary)

    @property
    def link_is_up(self) -> bool:
        primary = self.primary
        return primary is not None and self.settings["masterauth"] == primary.settings["requirepass"]

    @property
    def is_ok(self) -> bool:
        primaries = [line.id for line in self.lines if line.is_primary and line.slots]
        return self.world.clock.now() - self.started >= SETTLE_S and all(map(self.world.server_of, primaries))

    def save(self) -> None:
        """Into its folder, unless that was taken away under it."""
        if self.directory in self.world.folders:
            self.world.folders[self.directory][DATA] = json.dumps(self.keys)

    def live_keys(self) -> list[str]:
        return [key for key, (_, dies) in self.keys.items() if dies > self.world.clock.now()]

    def answer(self, words: Sequence[str]) -> Reply:
        name = words[0].upper()
        match (name, *words[1:]):
            case ("INFO", *_):
                return self._info().encode()
            case ("PING",):
                return b"PONG"
            case ("TIME",):
                now = self.world.clock.wall() + self.skew_s
                return [str(int(now)).encode(), str(int(now % 1 * 1e6)).encode()]
            case ("CLUSTER", _) if not self.lines:
                raise ReplyError("ERR This instance has cluster support disabled")
            case ("CLUSTER", "MYID"):
                return self.id.encode()
            case ("CLUSTER", "INFO"):
                return f"cluster_state:{'ok' if self.is_ok else 'fail'}\r\ncluster_current_epoch:9\r\n".encode()
            case ("CLUSTER", "NODES"):
                return "".join(self._seen(line) + "\n" for line in self.lines).encode()
            case ("CLUSTER", "FAILOVER", *_):
                return self._fail_over()
            case ("CONFIG", "GET", setting):
                known = self.settings.get(setting)
                return [] if known is None else [setting.encode(), known.encode()]
            case ("CONFIG", "SET", setting, value):
                return self._set(setting, value)
            case ("CONFIG", "REWRITE"):
                self.world.effect(f"rewrite {self.address}")
                self.in_file = dict(self.settings)
                return b"OK"
            case ("REPLCONF", *_):
                return b"OK"
            case ("SHUTDOWN", how):
                if how == "SAVE" and "SHUTDOWN" in self.refuses:
                    raise ReplyError("ERR Errors trying to SHUTDOWN. Check logs.")
                self.world.effect(f"shutdown {self.address}")
                if how == "SAVE":
                    self.save()
                self.world.kill(self.address)
                raise NodeUnreachableError(f"{self.address} closed the connection", code="closed")
            case ("LASTSAVE",):
                return int(self.world.clock.wall())
            case ("BGSAVE", "SCHEDULE"):
                self.world.effect(f"save {self.address}")
                self.save()
                return b"Background saving scheduled"
            case ("SET", key, value, "NX", "PX", lifetime_ms):
                self._led_elsewhere(key)
                if key in self.live_keys():
                    return None
                self.world.effect(f"write {key}")
                self.keys[key] = (value, self.world.clock.now() + int(lifetime_ms) / 1000)
                self.offset += 10
                return b"OK"
            case ("GET", key):
                self._led_elsewhere(key)
                return self.keys[key][0].encode() if key in self.live_keys() else None
            case ("DEL", key):
                self._led_elsewhere(key)
                self.world.effect(f"delete {key}")
                return int(self.keys.pop(key, None) is not None)
        raise ReplyError(f"ERR unknown command '{words[0]}'")

    def _seen(self, line: Line) -> str:
        """The line as this server has it: without a link to one that is gone."""
        is_there = self.world.server_of(line.id) is not None
        return line.text if is_there else line.text.replace(" connected", " disconnected")

    def _fail_over(self) -> Reply:
        """At once, and everybody knows it; one that ``ignores`` FAILOVER says OK, and that is all."""
        if self.me.is_primary:
            raise ReplyError("ERR You should send CLUSTER FAILOVER to a replica")
        if "FAILOVER" in self.refuses:
            raise ReplyError("ERR Master is down or failed, please use CLUSTER FAILOVER FORCE")
        if "FAILOVER" not in self.ignores:
            self.world.effect(f"failover {self.address}")
            self.world.fail_over(self.id)
        return b"OK"

    def _set(self, setting: str, value: str) -> Reply:
        if setting in self.refuses or setting in AT_START_ONLY:
            raise ReplyError(f"ERR CONFIG SET failed - can't set immutable config '{setting}'")
        self.world.effect(f"set {self.address} {setting}")
        if setting not in self.ignores:
            self.settings[setting] = value
        return b"OK"

    def _led_elsewhere(self, key: str) -> None:
        slot = key_slot(key.encode())
        owner = next((line for line in self.lines if slot in line.slots), None)
        if owner is not None and owner.id != self.id:
            raise ReplyError(f"MOVED {slot} {owner.announced or owner.address}")

    def _info(self) -> str:
        rows = {
            "redis_version": "7.2.4",
            "server_name": "valkey",
            "valkey_version": "9.1.2",
            "run_id": f"{self.process.pid:040x}",
            "process_id": str(self.process.pid),
            "loading": str(int(self.is_loading)),
            "cluster_enabled": str(int(bool(self.lines))),
            "rdb_bgsave_in_progress": "0",
            "rdb_changes_since_last_save": "0",
            "rdb_last_bgsave_status": "ok",
        }
        if self.lines and not self.me.is_primary:
            primary = self.primary
            status = "up" if self.link_is_up else "down"
            caught_up = primary.offset - self.lag_bytes if primary and self.link_is_up else 0
            rows |= {"role": "slave", "master_link_status": status, "slave_repl_offset": str(caught_up)}
        else:
            rows |= {"role": "master", "master_repl_offset": str(self.offset)}
        if self.live_keys():
            rows["db0"] = f"keys={len(self.live_keys())},expires=0,avg_ttl=0"
        return "".join(f"{name}:{value}\r\n" for name, value in rows.items()) + self.more_info


@dataclass
class FakeHost:
    """Implements :class:`slotwright.ports.Host` on the folders and servers of a world."""

    world: World
    log: str = ""
    dies_at_start: bool = False

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        return HostFacts(host, tuple(self._facts(query, cluster_id) for query in queries), 10**12)

    def _facts(self, query: NodeQuery, cluster_id: str) -> NodeFacts:
        files = self.world.folders.get(query.directory)
        if files is None:
            return NodeFacts(query.address, DirectoryFact(query.directory, DirectoryState.ABSENT))
        if not files:
            return NodeFacts(query.address, DirectoryFact(query.directory, DirectoryState.EMPTY))
        marker = json.loads(files.get(MARKER, "{}"))
        if marker.get("cluster_id") != cluster_id:
            return NodeFacts(query.address, DirectoryFact(query.directory, DirectoryState.OTHER_CLUSTER))
        conf = files.get(SERVER_CONF)
        fact = DirectoryFact(
            query.directory,
            DirectoryState.OURS,
            marker["name"],
            NODES_CONF in files,
            hashlib.sha256(conf.encode()).hexdigest() if conf is not None else "",
        )
        server = self.world.servers.get(query.address)
        return NodeFacts(query.address, fact, server.process if server else None)

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        return HostExam(host, tuple(self._exam(query, cluster_id) for query in queries), 64 * 2**30)

    def _exam(self, query: NodeQuery, cluster_id: str) -> NodeExam:
        facts, files = self._facts(query, cluster_id), self.world.folders.get(query.directory, {})
        if facts.directory.state is not DirectoryState.OURS:
            return NodeExam(query.address, facts.directory.state, free_bytes=10**12)
        server = self.world.servers.get(query.address)
        return NodeExam(
            query.address,
            facts.directory.state,
            process=facts.process,
            process_state="" if server is None else "T" if server.is_mute else "S",
            nofile=None if server is None else 65536,
            map_text=files.get(NODES_CONF) if server is None else None,
            log_tail=self.log,
            free_bytes=10**12,
            data_bytes=sum(len(files[name]) for name in files if _is_data(name)),
        )

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        folder = self._at_rest(directory, cluster_id)
        if folder.get(NODES_CONF) == text:
            return
        if NODES_CONF in folder:
            self.world.effect(f"map aside {directory}")
            folder[MAP_ASIDE] = folder[NODES_CONF]
        await _let_others()
        self.world.effect(f"map {directory}")
        folder[NODES_CONF] = text

    async def read_map(self, directory: str, cluster_id: str) -> str:
        folder = self.world.folders.get(directory, {})
        is_ours = json.loads(folder.get(MARKER, "{}")).get("cluster_id") == cluster_id
        return folder.get(NODES_CONF, "") if is_ours else ""

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        folder = self._at_rest(directory, cluster_id)
        number = 1
        while any(name.startswith(f"{ASIDE}{number}/") for name in folder):
            number += 1
        names = [name for name in folder if _is_data(name)]
        for name in names:
            self.world.effect(f"data aside {directory}")
            folder[f"{ASIDE}{number}/{name}"] = folder.pop(name)
            await _let_others()
        return f"{directory}/{ASIDE}{number}" if names else ""

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """What can't be read begins with a question mark here."""
        folder = self._at_rest(directory, cluster_id)
        found = [name for name in folder if name.endswith(".aof") and _is_data(name)]
        if not found:
            raise HostError(f"{directory} has no append-only file", code="append-log-missing", where=directory)
        self.world.effect(f"mend {directory}")
        folder[found[0]] = folder[found[0]].partition("?")[0]
        return "Successfully truncated AOF"

    def _at_rest(self, directory: str, cluster_id: str) -> dict[str, str]:
        folder = self.world.folders.get(directory)
        if folder is None:
            raise HostError(f"{directory} is not there", code="directory-missing", where=directory)
        if json.loads(folder.get(MARKER, "{}")).get("cluster_id") != cluster_id:
            raise HostError(f"{directory} is not of this cluster", code="directory-foreign", where=directory)
        if any(server.directory == directory for server in self.world.servers.values()):
            raise HostError(f"the server of {directory} runs", code="node-running", where=directory)
        return folder

    async def free_port(self, host: str) -> int:
        return 20000

    async def count_forks(self) -> int:
        return 0

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        marker = json.loads(self.world.folders.get(directory, {}).get(MARKER, "{}"))
        if marker.get("cluster_id") != cluster_id:
            return None
        servers = self.world.servers.values()
        return next((server.process for server in servers if server.directory == directory), None)

    async def create(self, files: NodeFiles) -> None:
        world, directory = self.world, files.directory
        if directory not in world.folders:
            world.effect(f"folder {directory}")
            world.folders[directory] = {}
        folder = world.folders[directory]
        if {MARKER, SERVER_CONF, NODES_CONF} <= folder.keys():
            raise HostError(f"{directory} is whole already", code="created-twice")
        await _let_others()
        world.effect(f"marker {directory}")
        folder[MARKER] = files.marker
        await _let_others()
        world.effect(f"conf {directory}")
        folder[SERVER_CONF] = files.server_conf
        await _let_others()
        if files.nodes_conf is not None and NODES_CONF not in folder:
            world.effect(f"map {directory}")
            folder[NODES_CONF] = files.nodes_conf

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        raise HostError("these nodes keep no append-only file", code="host-files", where=directory)

    async def rewrite_conf(self, files: NodeFiles) -> None:
        await _let_others()
        self.world.effect(f"conf {files.directory}")
        self.world.folders[files.directory][SERVER_CONF] = files.server_conf

    async def start(self, launch: Launch) -> ProcessId:
        world = self.world
        if launch.address in world.servers:
            raise HostError(f"{launch.address} runs already", code="started-twice")
        world.effect(f"start {launch.address}")
        process = ProcessId(world.next_pid, "boot")
        world.next_pid += 1
        if not self.dies_at_start:
            files = world.folders[launch.directory]
            settings = BUILT_IN | read_conf(files[SERVER_CONF]) | dict(launch.overrides)
            lines = read_map(files[NODES_CONF]) if NODES_CONF in files else []
            keys = {name: (value, dies) for name, (value, dies) in json.loads(files.get(DATA, "{}")).items()}
            world.servers[launch.address] = Server(
                world, launch.address, launch.directory, process, settings, lines, world.clock.now(), keys
            )
        return process

    async def is_running(self, process: ProcessId) -> bool:
        return any(server.process == process for server in self.world.servers.values())

    async def kill(self, process: ProcessId, directory: str) -> None:
        for server in list(self.world.servers.values()):
            if server.process == process:
                self.world.effect(f"kill {server.address}")
                self.world.kill(server.address)

    async def freeze(self, process: ProcessId, directory: str) -> None:
        raise NotImplementedError("drills are for sim_host.py, whose servers vote")

    async def thaw(self, process: ProcessId, directory: str) -> None:
        raise NotImplementedError("drills are for sim_host.py, whose servers vote")

    async def give_up(self, directory: str) -> None:
        pass

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        return self.log

    async def log_from(self, directory: str, offset: int) -> tuple[str, int]:
        return self.log, len(self.log)

    async def rotate_log(self, directory: str) -> None:
        pass

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        files = self.world.folders.get(directory, {})
        return tuple((name, len(files[name])) for name in files if _is_data(name))

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        folder = self.world.folders.get(directory)
        if folder is None:
            raise HostError(f"{directory} is not there", code="directory-missing", where=directory)
        self.world.effect(f"pack {directory}")
        with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
            for name, text in folder.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                packed.addfile(member, io.BytesIO(text.encode()))

    async def remove(self, directory: str, cluster_id: str) -> None:
        """The marker goes last, and nothing happens where there is no folder."""
        folder = self._to_take_away(directory, cluster_id)
        if folder is None:
            return
        if folder.keys() > {MARKER}:
            self.world.effect(f"empty {directory}")
            self.world.folders[directory] = {MARKER: folder[MARKER]} if MARKER in folder else {}
            await _let_others()
        self.world.effect(f"remove {directory}")
        del self.world.folders[directory]

    async def set_aside(self, directory: str, cluster_id: str, destination: str) -> None:
        """Without the configuration, in which the password is."""
        folder = self._to_take_away(directory, cluster_id)
        if folder is None:
            return
        if SERVER_CONF in folder:
            self.world.effect(f"strip {directory}")
            del folder[SERVER_CONF]
            await _let_others()
        assert destination not in self.world.folders, "data that was set aside is overwritten"
        self.world.effect(f"move {directory}")
        self.world.folders[destination] = self.world.folders.pop(directory)

    def _to_take_away(self, directory: str, cluster_id: str) -> dict[str, str] | None:
        """None where it is gone; nobody's folder is taken while its server runs."""
        if directory not in self.world.folders or not self.world.folders[directory]:
            return self.world.folders.get(directory)
        return self._at_rest(directory, cluster_id)


def _is_data(name: str) -> bool:
    return not name.startswith((MARKER, SERVER_CONF, NODES_CONF, ASIDE))


async def _let_others() -> None:
    """The other steps of a wave come in between."""
    await asyncio.sleep(0)


@dataclass
class FakeConnection:
    """Implements :class:`slotwright.ports.Connection`."""

    world: World
    server: Server
    is_in: bool

    @property
    def address(self) -> Address:
        return self.server.address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        (reply,) = await self.pipeline([arguments])
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        if self.world.servers.get(self.address) is not self.server:
            raise NodeUnreachableError(f"{self.address} closed the connection", code="closed")
        if self.server.is_mute:
            raise NodeUnreachableError(f"{self.address} did not answer within 5 s", code="timeout")
        return [self._one([str(word) for word in command]) for command in commands]

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """COUNTKEYSINSLOT of slots that it does not own: whatever its keys are called, none is out of place."""
        await self.pipeline([])
        assert b"COUNTKEYSINSLOT" in request
        return [0] * replies

    def _one(self, words: Sequence[str]) -> Reply | ReplyError:
        if not self.is_in:
            return ReplyError("NOAUTH Authentication required.")
        if self.server.is_loading and words[0] != "INFO":
            return ReplyError("LOADING Redis is loading the dataset in memory")
        try:
            return self.server.answer(words)
        except ReplyError as error:
            return error

    async def close(self) -> None:
        pass


@dataclass
class FakeFleet:
    """Implements :class:`slotwright.ports.Fleet`: one host for all addresses."""

    host: FakeHost

    def at(self, host: str) -> FakeHost:
        return self.host

    def login(self, password: Secret | None, username: str) -> FakeDialer:
        return FakeDialer(self.host.world, password)

    def login_on(self, host: str) -> LoginDialer:
        return self.login

    async def close(self) -> None:
        pass


@dataclass
class FakeDialer:
    """Implements :class:`slotwright.ports.Dialer`."""

    world: World
    password: Secret | None = None
    dialled: list[Address] = field(default_factory=list)

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> FakeConnection:
        self.dialled.append(address)
        server = self.world.servers.get(address)
        if server is None:
            raise NodeUnreachableError(f"nothing listens on {address}", code="refused", where=str(address))
        wanted = server.settings["requirepass"]
        if self.password is not None and self.password.reveal() != wanted:
            raise AuthenticationError(f"{address} refuses our password", where=str(address), seen="WRONGPASS")
        return FakeConnection(self.world, server, not wanted or self.password is not None)


def read_conf(text: str) -> dict[str, str]:
    """What a server makes of its configuration; enough of sdssplitargs for the passwords of these tests."""
    rows = (line.partition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value.strip('"') for name, _, value in rows}


def read_map(text: str) -> list[Line]:
    """The lines of nodes.conf; CLUSTER NODES leaves the auxiliary fields out."""
    found = []
    for row in text.splitlines():
        if row.startswith("vars"):
            continue
        words = re.sub(r",,\S+", "", row).split()
        is_primary = "master" in words[2]
        found.append(
            Line(
                words[0],
                " ".join(words),
                is_primary,
                words[3],
                Address.parse(words[1].partition("@")[0]),
                SlotSet.parse(words[8:]) if is_primary else SlotSet(),
            )
        )
    return found


def failed_over(lines: list[Line], heir_id: str) -> list[Line]:
    """The lines after one replica has taken the slots of its primary, under the next epoch."""
    heir = next(line for line in lines if line.id == heir_id)
    former = next(line for line in lines if line.id == heir.primary)
    epoch = str(1 + max(int(line.text.split()[6]) for line in lines))
    return [_in_place(line, heir, former, epoch) for line in lines]


def _in_place(line: Line, heir: Line, former: Line, epoch: str) -> Line:
    words = line.text.split()
    if line is heir:
        text = " ".join(
            [*words[:2], words[2].replace("slave", "master"), "-", "0", "0", epoch, words[7], *former.slots.texts()]
        )
        return replace(line, is_primary=True, primary="-", slots=former.slots, text=text)
    if line is former or line.primary == former.id:
        text = " ".join([*words[:2], words[2].replace("master", "slave"), heir.id, "0", "0", epoch, words[7]])
        return replace(line, is_primary=False, primary=heir.id, slots=SlotSet(), text=text)
    return line


def forget_map(server: Server) -> None:
    """From outside: CLUSTER RESET HARD."""
    server.lines = [
        replace(line, id="f" * 40, slots=SlotSet(), text=f"{'f' * 40} {line.text.split(' ', 1)[1]}")
        for line in server.lines
        if line.address == server.address
    ]
