"""The topology file: YAML to a sound :class:`Topology`, with every problem of the file reported at once.

The way: text -> values with lines (``topology_lines``) -> shape (``topology_schema``, pydantic) -> meaning
(``topology_nodes``, ``topology_ssh``, ``topology_engine``, ``topology_password`` and their like). Each step
reports what it finds and hands on what was right, so a file with five faults is mended in one go. Nothing
outside these modules knows ruamel or pydantic.

What the world makes of the file (addresses of other machines, missing binaries, ports taken) is not decided
here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from slotwright.adapters.topology.clients import read_clients, read_via
from slotwright.adapters.topology.engine import HostPlaces, read_engine
from slotwright.adapters.topology.lines import read_document
from slotwright.adapters.topology.nodes import read_layout
from slotwright.adapters.topology.password import read_password
from slotwright.adapters.topology.paths import absolute_path, path_on_hosts
from slotwright.adapters.topology.schema import Report, RootPart, read_part, shown
from slotwright.adapters.topology.settings import read_settings
from slotwright.adapters.topology.text import render_topology
from slotwright.cluster.topology import Topology
from slotwright.errors import InputError
from slotwright.ports import LoadedTopology

_MOST_BYTES = 4 * 1024 * 1024
"""A thousand hosts with a line each have some 100 KB."""

__all__ = ["LoadedTopology", "load_topology", "parse_topology", "render_topology"]


def load_topology(path: Path) -> LoadedTopology:
    """The topology in the file ``path``; its relative paths are taken from the file's folder.

    Raises :class:`InputError` with a code for each way it can go wrong: ``topology-not-found``,
    ``topology-is-directory``, ``topology-unreadable``, ``topology-too-large``, ``topology-not-text``,
    ``topology-not-yaml``, ``topology-empty``, ``topology-not-mapping``, or ``bad-topology`` with all problems of the
    content.
    """
    try:
        text = _bounded(path).decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from None  # its cause would carry the whole file
    loaded = parse_topology(text, where=str(path), base=path.absolute().parent)
    return replace(loaded, path=path.absolute())


def _bounded(path: Path) -> bytes:
    """The file's bytes, of which there may be no end (a device, a pipe). Raises OSError, InputError."""
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"{path} has more than {_MOST_BYTES // 2**20} MiB: it is no topology file",
            code="topology-too-large",
            where=str(path),
            hint="name the YAML file; `slotwright init` writes one",
        )
    return data


def parse_topology(text: str, *, where: str, base: Path) -> LoadedTopology:
    """The same from a text: ``where`` names it in messages, ``base`` is the folder of relative paths.

    Raises :class:`InputError` as :func:`load_topology` does for the content.
    """
    document = read_document(text, where)
    report = Report(document)
    root = read_part(RootPart, document.data, (), report)
    layout = read_layout(root, base, report)
    reach = layout.reach
    name = _read_name(root, report)
    engine = read_engine(root.engine, base, reach, report)
    password, inline_password = read_password(root.password, layout.hosts, base, report)
    settings = read_settings(root.settings or {}, report)
    data = _read_data(root.data or "", base, reach, report)
    clients = read_clients(root.clients, reach.is_local, report)
    via = read_via(root, reach.is_local, report)
    report.raise_if_any()
    topology = Topology(
        name=name,
        engine=engine,
        hosts=layout.hosts,
        replicas=layout.replicas,
        shards=layout.shards,
        password=password,
        settings=settings,
        data_directory=data,
        mode=layout.mode,
        allow_colocated_replicas=bool(root.allow_colocated_replicas),
        clients=clients,
        via=via,
    )
    return LoadedTopology(topology, base.absolute() / where, report.warnings(), inline_password)


def unreadable(path: Path, error: OSError) -> InputError:
    """The operating system's refusal in plain words."""
    where = str(path)
    match error:
        case FileNotFoundError() | NotADirectoryError():
            hint = "`slotwright init` writes one"
            return InputError(f"there is no file {path}", code="topology-not-found", where=where, hint=hint)
        case IsADirectoryError():
            hint = "name the file in it, for example cluster.yaml"
            return InputError(f"{path} is a directory", code="topology-is-directory", where=where, hint=hint)
        case PermissionError():
            what, hint = f"{path} may not be read by this user", "check its owner and mode with `ls -l`"
        case _:
            what, hint = f"{path} can't be read: {error.strerror or 'unknown reason'}", ""
    return InputError(what, code="topology-unreadable", where=where, hint=hint)


def _not_text(path: Path, error: UnicodeDecodeError) -> InputError:
    line = error.object[: error.start].count(b"\n") + 1
    return InputError(
        f"{path} is not UTF-8 text",
        code="topology-not-text",
        where=f"{path}:{line}",
        hint="save it as UTF-8",
    )


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _read_name(root: RootPart, report: Report) -> str:
    """The name is a folder's name too, and a target on the command line."""
    name = root.name
    if name is None:
        report.missing("name", "name: cache")
        return ""
    if not _NAME.fullmatch(name):
        hint = "letters, digits, '-', '_' and '.', starting with a letter or digit, at most 63"
        report.problem(f"{shown(name)} can't be a name", "name", hint=hint)
    elif name.lower().endswith((".yaml", ".yml")):
        report.problem(f"the name {name} would be taken for a file", "name", hint="leave the ending out")
    return name


def _read_data(text: str, base: Path, reach: HostPlaces, report: Report) -> str:
    """A directory on the hosts, which are this machine or others; "" for slotwright's own."""
    if not text:
        return ""
    return path_on_hosts(text, ("data",), report) if reach.is_remote else absolute_path(text, base, ("data",), report)
