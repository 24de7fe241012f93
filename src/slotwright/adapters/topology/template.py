"""The file that ``slotwright init`` writes: short enough to read at once, every key explained beside it."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.adapters.topology.text import flow_or_block, network_text, path_text, scalar, shard_lines, ssh_lines
from slotwright.cluster.topology import Address, EngineKind, Mode, ShardSpec, SshSpec

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class InitAnswers:
    """What the operator chose.

    ``origin`` is embedded, path, package, an archive or a directory, which holds a ``/`` or starts with ``~`` or
    ``.``; ``password`` is generate, none, ``env:NAME`` or ``file:PATH``. ``ssh`` says how the hosts are reached, its
    key as the file shall say it; None: they are this machine, and ``clients`` is not written.
    """

    name: str = "cache"
    kind: EngineKind = EngineKind.VALKEY
    origin: str = "embedded"
    hosts: tuple[str, ...] = ("127.0.1.1", "127.0.1.2", "127.0.1.3")
    ports: tuple[int, ...] = (7001, 7002)
    replicas: int = 1
    password: str = "generate"
    mode: Mode = Mode.CLUSTER
    ssh: SshSpec | None = None
    clients: tuple[str, ...] = ()


def commented_topology(answers: InitAnswers) -> str:
    """A commented cluster.yaml; ``parse_topology`` takes it as it stands for answers that it would take.

    Raises :class:`ValueError` for a ``password`` of another form.
    """
    paragraphs = [
        _head(answers),
        _engine(answers),
        _nodes(answers),
        *(_remote(answers, answers.ssh) if answers.ssh is not None else ()),
        _replicas(answers) if answers.mode is Mode.CLUSTER else _single(),
        _password(answers),
        _data(answers),
        _settings(answers),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def _head(answers: InitAnswers) -> list[str]:
    what = "One cluster" if answers.mode is Mode.CLUSTER else "One server"
    return [
        f"# {what}, described. `slotwright plan` says what would change, `slotwright up` makes it so.",
        "# Lines that start with '#' are examples of what else can be said; paths are relative to this file.",
        "",
        "# What it is called here: the name of its folder, and what you type after a verb.",
        f"name: {scalar(answers.name)}",
    ]


def _engine(answers: InitAnswers) -> list[str]:
    origin = answers.origin if answers.origin in ("embedded", "path", "package") else path_text(answers.origin)
    return [
        "# Which server, and where its program comes from:",
        "#   embedded  the one that was installed with slotwright[embedded]",
        *(_LOCAL_ORIGINS if answers.ssh is None else _REMOTE_ORIGINS),
        f"engine: {{kind: {answers.kind.value}, from: {origin}}}",
    ]


_LOCAL_ORIGINS = (
    "#   path      what this machine finds on its PATH",
    "#   /opt/valkey/bin, or any other directory that holds the programs",
)
_REMOTE_ORIGINS = (
    "#   package   what the hosts' own package manager installs",
    "#   path      what the hosts find on their PATH",
    "#   /opt/valkey/bin, or any other directory on the hosts that holds the programs",
    "#   ./valkey-9.1.0.tar.gz, an archive on this machine, of programs or of sources",
)
_LOCAL_HOSTS = (
    "# One node for each host and port. On Linux every 127.0.x.x is this machine, so three addresses",
    "# stand in for three hosts.",
)
_REMOTE_HOSTS = (
    "# One node for each host and port. The nodes reach each other, and clients reach them, by these addresses.",
)


def _nodes(answers: InitAnswers) -> list[str]:
    hosts = flow_or_block("hosts", tuple(scalar(host) for host in answers.hosts))
    ports = flow_or_block("ports", tuple(map(str, answers.ports)))
    if answers.mode is Mode.SINGLE:
        return ["# Where it listens.", *hosts, *ports]
    return [
        *(_LOCAL_HOSTS if answers.ssh is None else _REMOTE_HOSTS),
        *hosts,
        "",
        "# The client ports on every host; the first ones become primaries. The nodes talk to each other on",
        "# port + 10000, so that one must be free too.",
        *ports,
        "",
        "# Hosts can have labels and ports of their own, instead of the list above. A replica is kept out of",
        "# its primary's rack where that is possible.",
        "# hosts:",
        *_labelled(answers),
    ]


def _remote(answers: InitAnswers, ssh: SshSpec) -> list[list[str]]:
    return [
        [
            "# The hosts are reached by SSH, as ~/.ssh/config, your agent and known_hosts say. What they don't say",
            "# goes here, for all hosts, or under `ssh` of one host. A user who is not root needs sudo.",
            *ssh_lines([ssh]),
            "# ssh:",
            "#   user: admin",
            "#   key: ~/.ssh/id_ed25519",
            "#   jump: admin@gate.example.org     # through this host",
            "#   password: ask                    # or {env: NAME}; it never stands in this file",
            "# via: direct                        # talk to the servers straight, and not through SSH",
        ],
        [
            "# Who may connect to the client ports, where the hosts have a firewall: networks or addresses. The",
            "# hosts themselves always may. For example [10.0.0.0/24, 10.1.2.3].",
            *flow_or_block("clients", tuple(map(network_text, answers.clients))),
        ],
    ]


def _labelled(answers: InitAnswers) -> list[str]:
    ports = ", ".join(map(str, answers.ports))
    return [
        f"#   - {{address: {scalar(host)}, rack: r{at + 1}, zone: a, ports: [{ports}]}}"
        for at, host in enumerate(answers.hosts[:_EXAMPLES])
    ] + (["#   # and so on"] if len(answers.hosts) > _EXAMPLES else [])


def _replicas(answers: InitAnswers) -> list[str]:
    lines = [
        "# Copies of each primary. 0 means that a lost node is lost data.",
        f"replicas: {answers.replicas}",
        "",
        "# Who replicates whom is worked out: never on one host if that is possible. To decide it yourself:",
        *(f"# {line}" for line in shard_lines(_sample_shards(answers))),
    ]
    return [
        *lines,
        "",
        "# A replica may share its primary's host only if you say so; losing that host then loses both.",
        "# allow_colocated_replicas: true",
    ]


def _sample_shards(answers: InitAnswers) -> tuple[ShardSpec, ...]:
    """Primaries on the first ports, each one's replicas on the hosts that follow; the first few shards."""
    nodes = [Address(host, port) for port in answers.ports for host in answers.hosts]
    count = len(nodes) // (1 + answers.replicas)
    rest = nodes[count:]
    return tuple(
        ShardSpec(nodes[at], tuple(rest[turn * count + (at + 1) % count] for turn in range(answers.replicas)))
        for at in range(min(count, _EXAMPLES))
    )


def _single() -> list[str]:
    return [
        "# One stand-alone server, without slots and replicas. Leave this out for a cluster.",
        "mode: single",
    ]


def _password(answers: InitAnswers) -> list[str]:
    return [
        "# Clients and nodes need this password. It never has to stand in this file:",
        "#   generate            made on the first `up` and kept in a file that only you can read",
        "#   {env: NAME}         taken from an environment variable",
        "#   {file: PATH}        taken from a file",
        "#   none                open to everyone who can reach the port",
        f"password: {_password_value(answers.password)}",
    ]


def _password_value(answer: str) -> str:
    if answer in ("generate", "none"):
        return answer
    source, _, name = answer.partition(":")
    if name and source == "env":
        return f"{{env: {scalar(name)}}}"
    if name and source == "file":
        return f"{{file: {path_text(name)}}}"
    raise ValueError("password is generate, none, env:NAME or file:PATH")


def _data(answers: InitAnswers) -> list[str]:
    if answers.ssh is not None:
        return [
            "# Where the nodes keep their data on the hosts; without it, slotwright's own directory there.",
            "# data: /srv/data",
        ]
    return [
        "# Where the nodes keep their data; without it, your user's state directory.",
        "# data: ./data",
    ]


def _settings(answers: InitAnswers) -> list[str]:
    timeout = ["#   cluster-node-timeout: 15000      # milliseconds until a silent node counts as lost"]
    return [
        "# Anything else goes to the server's configuration as it is; `up` first tries it on the server.",
        "# settings:",
        "#   maxmemory: 64mb                  # for each node",
        "#   maxmemory-policy: allkeys-lru    # what to drop when it is full; without it, writes are refused",
        *(timeout if answers.mode is Mode.CLUSTER else []),
        '#   save: ["900 1", "300 10"]        # a list says the directive once for each value',
    ]
