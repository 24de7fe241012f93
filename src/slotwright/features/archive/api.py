"""archive: every node's map, data, configuration and logs, set aside with checksums, while the cluster serves on.

::

    DIR/manifest.json       what is in it: nodes with role, slots, keys, files, and what could not be had
        SHA256SUMS          of all other files; `sha256sum -c SHA256SUMS` checks them
        record.json         what slotwright knows of the cluster
        HOST-PORT.tar.gz    one node's folder
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slotwright.adapters.files import make_directory, write_atomically
from slotwright.app.context import Context
from slotwright.app.targets import Target, open_verifier, own_record
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.cluster.formats import FileKind, head_of
from slotwright.cluster.observation import Observation
from slotwright.cluster.record import ClusterRecord, directory_name
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, PartialError, RefusedError, SlotwrightError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.fork_budget import ForkBudget
from slotwright.ops.save import save_all
from slotwright.ports import ClusterStore, Fleet

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class ArchivedNode:
    """One node in the archive. ``keys`` None: it did not answer. ``trouble`` says why its data is older than now, or
    why nothing of it could be had (then ``file`` is "")."""

    address: Address
    role: str
    keys: int | None
    file: str
    size_bytes: int
    members: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """The archive as it was read back."""

    name: str
    folder: str
    nodes: tuple[ArchivedNode, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every node's folder is in it."""
        return all(node.file for node in self.nodes)


async def archive(context: Context, target: Target, folder: Path) -> Archived:
    """Copy every node's folder to ``folder``, which must not exist or be empty, after a fresh save of those that run.

    Raises RefusedError (folder-exists, locked), PartialError when a node's folder could not be had: what
    could be is there, and says what is missing.
    """
    record, store = own_record(target)
    if folder.exists() and any(folder.iterdir()):
        raise RefusedError(
            f"{folder} is not empty",
            code="folder-exists",
            where=str(folder),
            left="nothing was changed",
            hint="name another folder with -o",
        )
    with store.hold("archive"):
        async with context.fleet(record.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
            verifier = await open_verifier(context, target, fleet, pool)
            observation = (await verifier.look(with_canaries=False)).observation
            archived = await archive_into(context, fleet, pool, record, store, observation, folder)
    if not archived.is_whole:
        raise _not_whole(archived)
    return archived


async def archive_into(
    context: Context,
    fleet: Fleet,
    pool: ConnectionPool,
    record: ClusterRecord,
    store: ClusterStore,
    observation: Observation,
    folder: Path,
) -> Archived:
    """The same for a cluster that is locked, connected and looked at already; the answer says what could not be had."""
    budget = ForkBudget(fleet.at, context.clock, context.report)
    saved = await _save(context, pool, budget, observation)
    make_directory(folder)
    nodes = await _pack_all(context, fleet, record, folder, observation, saved)
    archived = Archived(record.name, str(folder), nodes)
    _finish(archived, record, store)
    return archived


def verify_sums(folder: Path) -> None:
    """Read every file of an archive again. Raises HostError for one that is not what was written."""
    for line in (folder / SUMS).read_text().splitlines():
        digest, _, name = line.partition("  ")
        if _digest(folder / name) != digest:
            raise HostError(f"{folder / name} is not what was written", code="archive-damaged", where=str(folder))


async def _save(
    context: Context, pool: ConnectionPool, budget: ForkBudget, observation: Observation
) -> dict[Address, str]:
    addresses = [view.address for view in observation.views]
    text = f"save {len(addresses)} nodes"
    context.report(Began("save", text))
    saved = await save_all(pool, context.clock, budget, addresses)
    context.report(Ended("save", text, is_ok=not any(saved.values())))
    return saved | {silent.address: f"it does not answer ({silent.code})" for silent in observation.silent}


async def _pack_all(
    context: Context,
    fleet: Fleet,
    record: ClusterRecord,
    folder: Path,
    observation: Observation,
    saved: dict[Address, str],
) -> tuple[ArchivedNode, ...]:
    nodes = record.blueprint.nodes
    text = f"copy {len(nodes)} folders"
    context.report(Began("copy", text))
    done = 0

    async def pack(address: Address) -> ArchivedNode:
        nonlocal done
        view = observation.view_of(address)
        role = view.replication.role.value if view else "unknown"
        keys = view.health.keys if view else None
        file = folder / f"{directory_name(address)}.tar.gz"
        trouble = saved.get(address, "it does not answer")
        try:
            members = await _pack_whole(fleet, record, address, file)
        except SlotwrightError as error:
            file.unlink(missing_ok=True)
            return ArchivedNode(address, role, keys, "", 0, 0, error.what)
        finally:
            done += 1
            context.report(Moved("copy", text, done, len(nodes)))
        return ArchivedNode(address, role, keys, file.name, file.stat().st_size, members, trouble)

    archived_nodes = tuple(await asyncio.gather(*(pack(node.address) for node in nodes)))
    context.report(Ended("copy", text, is_ok=all(archived_node.file for archived_node in archived_nodes)))
    return archived_nodes


async def _pack_whole(fleet: Fleet, record: ClusterRecord, address: Address, file: Path) -> int:
    """Copied again when an append-only file was rewritten meanwhile, so that its parts don't belong together."""
    host, directory = fleet.at(address.host), record.node_directory(address)
    for _ in range(_TRIES):
        file.unlink(missing_ok=True)
        await host.pack(directory, record.blueprint.cluster_id, str(file))
        members, missing = await asyncio.to_thread(_read_back, file)
        if not missing:
            return members
    raise HostError(
        f"the append-only file of {address} was rewritten during each of {_TRIES} copies",
        code="archive-torn",
        where=str(address),
        seen=f"{missing} is named in its manifest, and was gone",
        hint="try again when it is less busy",
    )


def _read_back(file: Path) -> tuple[int, str]:
    """How many files are in it, and the first that a manifest of an append-only file names and that is not there.

    Read to its end: a cut file is found here, not when it is needed. The manifest is that of servers since 7.0 (aof.c:
    ``file NAME seq N type T``).
    """
    names: set[str] = set()
    wanted: list[str] = []
    try:
        with tarfile.open(file, "r:gz") as opened:
            for member in opened:
                if not member.isfile():
                    continue
                name = member.name.removeprefix("./")
                names.add(name)
                if name.endswith(".manifest") and (content := opened.extractfile(member)):
                    folder = name.rpartition("/")[0]
                    wanted += [f"{folder}/{part}" for part in _named_in(content.read().decode(errors="replace"))]
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise HostError(f"{file} can't be read back: {error}", code="archive-damaged", where=str(file)) from error
    return len(names), next((name for name in wanted if name not in names), "")


def _named_in(manifest: str) -> list[str]:
    return [
        arguments[1] for line in manifest.splitlines() if len(arguments := line.split()) > 1 and arguments[0] == "file"
    ]


def _finish(archived: Archived, record: ClusterRecord, store: ClusterStore) -> None:
    folder = Path(archived.folder)
    write_atomically(folder / "record.json", store.record_text())
    nodes: list[dict[str, Any]] = []
    for node in archived.nodes:
        planned = record.blueprint.node_at(node.address)
        nodes.append(
            {
                "address": str(node.address),
                "id": planned.id,
                "shard": planned.shard,
                "role": node.role,
                "keys": node.keys,
                "file": node.file,
                "bytes": node.size_bytes,
                "trouble": node.trouble,
            }
        )
    manifest = {**head_of(FileKind.ARCHIVE), "name": record.name, "version": record.version, "nodes": nodes}
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    lines = [f"{_digest(folder / name)}  {name}\n" for name in names]
    write_atomically(folder / SUMS, "".join(lines))


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _not_whole(archived: Archived) -> PartialError:
    missing = [node for node in archived.nodes if not node.file]
    return PartialError(
        f"the archive lacks {len(missing)} of {len(archived.nodes)} nodes",
        code="archive-not-whole",
        where=", ".join(str(node.address) for node in missing),
        seen=missing[0].trouble,
        left=f"{archived.folder} holds the others",
        hint="bring those hosts back, then archive into another folder",
    )
