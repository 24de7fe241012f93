"""A topology as YAML text: what ``parse_topology`` reads back to the same value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from slotwright.cluster.topology import (
    Engine,
    EngineOrigin,
    HostSpec,
    Mode,
    PasswordRef,
    PasswordSource,
    ShardSpec,
    SshSpec,
    SudoMode,
    Topology,
    Via,
)

_WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|\d{1,3}(?:\.\d{1,3}){3}")
_PLAIN_SETTING = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|\d+[a-z]*")
_PLAIN_PATH = re.compile(r"[/~.][A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*|/[A-Za-z0-9_.-]*")
_Pairs = tuple[tuple[str, str], ...]
"""Keys and their values as YAML."""

_RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def render_topology(topology: Topology) -> str:
    """The text of a file that holds ``topology``.

    Raises :class:`ValueError` for an inline password, whose text a topology does not hold.
    """
    lines = [
        f"name: {scalar(topology.name)}",
        f"engine: {engine_text(topology.engine)}",
        *_hosts(topology.hosts),
    ]
    if topology.via is not Via.SSH:
        lines.append(f"via: {topology.via.value}")
    lines.extend(_roles(topology))
    lines.append(f"password: {_password(topology.password)}")
    if topology.clients:
        lines.extend(flow_or_block("clients", tuple(map(network_text, topology.clients))))
    if topology.data_directory:
        lines.append(f"data: {path_text(topology.data_directory)}")
    lines.extend(_settings(topology.settings))
    return "\n".join(lines) + "\n"


def scalar(text: str) -> str:
    """``text`` as a YAML scalar that is read back as exactly this text, in quotes where it must be."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED else _quoted(text)


def path_text(path: str) -> str:
    """A path as a YAML scalar; in quotes unless it is a simple one."""
    return path if _PLAIN_PATH.fullmatch(path) else _quoted(path)


def engine_text(engine: Engine) -> str:
    """``{kind: valkey, from: embedded}``."""
    has_path = engine.origin in (EngineOrigin.DIRECTORY, EngineOrigin.ARCHIVE)
    origin = path_text(engine.directory) if has_path else engine.origin.value
    return f"{{kind: {engine.kind.value}, from: {origin}}}"


def flow_or_block(key: str, items: tuple[str, ...]) -> list[str]:
    """``key: [a, b]`` when that fits a line, otherwise one item a line."""
    line = f"{key}: [{', '.join(items)}]"
    return [line] if len(line) <= _WIDTH else [f"{key}:", *(f"  - {item}" for item in items)]


def network_text(network: str) -> str:
    """A network as a YAML scalar; in quotes where a ':' in it could be taken for a key's."""
    return _quoted(network) if ":" in network else network


def ssh_lines(specs: Sequence[SshSpec]) -> list[str]:
    """The ``ssh`` key of the file: what all of ``specs`` say, in one line or one key a line."""
    pairs = _shared(specs)
    line = f"ssh: {_flow(pairs) if pairs else 'true'}"
    return [line] if len(line) <= _WIDTH else ["ssh:", *(f"  {key}: {value}" for key, value in pairs)]


def shard_lines(shards: tuple[ShardSpec, ...]) -> list[str]:
    """The ``shards`` key, one shard a line."""
    lines = ["shards:"] if shards else []
    for shard in shards:
        replicas = ", ".join(f'"{replica}"' for replica in shard.replicas)
        lines.append(f'  - {{primary: "{shard.primary}", replicas: [{replicas}]}}')
    return lines


def _quoted(text: str) -> str:
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\U{ord(character):08X}"


def _hosts(hosts: tuple[HostSpec, ...]) -> list[str]:
    shared = hosts[0].ports if len({host.ports for host in hosts}) == 1 else None
    specs = [host.ssh for host in hosts if host.ssh is not None]
    common = _shared(specs)
    lines = flow_or_block("hosts", tuple(_host(host, shared is None, common) for host in hosts))
    if shared is not None:
        lines.extend(flow_or_block("ports", tuple(map(str, shared))))
    return [*lines, *ssh_lines(specs)] if specs else lines


def _host(host: HostSpec, with_ports: bool, common: _Pairs) -> str:
    """An address alone where that is all; ``common`` of its ssh stands at the top of the file."""
    pairs = [("address", scalar(host.address))]
    if with_ports:
        pairs.append(("ports", f"[{', '.join(map(str, host.ports))}]"))
    pairs.extend((key, scalar(text)) for key, text in (("rack", host.rack), ("zone", host.zone)) if text)
    own = tuple(pair for pair in _ssh_pairs(host.ssh) if pair not in common) if host.ssh is not None else ()
    if own:
        pairs.append(("ssh", _flow(own)))
    return _flow(tuple(pairs)) if len(pairs) > 1 else pairs[0][1]


def _shared(specs: Sequence[SshSpec]) -> _Pairs:
    """What every one of ``specs`` says; since only keys that all have are left out below, none has to be unsaid."""
    every = [_ssh_pairs(spec) for spec in specs]
    return tuple(pair for pair in every[0] if all(pair in pairs for pairs in every)) if every else ()


def _ssh_pairs(ssh: SshSpec) -> _Pairs:
    variable = f"{{env: {scalar(ssh.password_variable)}}}" if ssh.password_variable else ""
    results = (
        ("user", ssh.user and scalar(ssh.user)),
        ("port", str(ssh.port) if ssh.port else ""),
        ("key", ssh.key and path_text(ssh.key)),
        ("jump", ssh.jump and scalar(ssh.jump)),
        ("address", ssh.address and scalar(ssh.address)),
        ("password", variable or ("ask" if ssh.ask_password else "")),
        ("sudo", "" if ssh.sudo is SudoMode.AUTO else ssh.sudo.value),
    )
    return tuple((key, text) for key, text in results if text)


def _flow(pairs: _Pairs) -> str:
    return "{" + ", ".join(f"{key}: {text}" for key, text in pairs) + "}"


def _roles(topology: Topology) -> Iterator[str]:
    if topology.mode is Mode.SINGLE:
        yield "mode: single"
    else:
        yield f"replicas: {topology.replicas}"
    yield from shard_lines(topology.shards)
    if topology.allow_colocated_replicas:
        yield "allow_colocated_replicas: true"


def _password(password: PasswordRef) -> str:
    match password.source:
        case PasswordSource.ENVIRONMENT:
            return f"{{env: {scalar(password.name)}}}"
        case PasswordSource.FILE:
            return f"{{file: {path_text(password.name)}}}"
        case PasswordSource.INLINE:
            raise ValueError("a topology does not hold its inline password")
        case source:
            return source.value


def _settings(settings: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if settings:
        yield "settings:"
    for name, group in groupby(settings, key=lambda pair: pair[0]):
        values = [_setting(value) for _, value in group]
        yield f"  {scalar(name)}: {values[0] if len(values) == 1 else '[' + ', '.join(values) + ']'}"


def _setting(value: str) -> str:
    is_plain = _PLAIN_SETTING.fullmatch(value) and value.lower() not in _RESERVED - {"yes", "no"}
    return value if is_plain else _quoted(value)
