"""Makes a program that runs out of an application's sources and a generated configuration.

What comes from a registry is kept in a cache outside of the tree, and fetched again when the versions change. A
language or a package that can't be had is :class:`Missing`, with the reason; a text that does not compile is a failure.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.features.clients.configs.kind import ClientKind

APPS = Path(__file__).parent / "apps"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slotwright-clients"
PATIENCE_S = 600


class Missing(Exception):  # noqa: N818 - it is no error, but a reason to skip
    """A toolchain or a registry is not there; the text says which."""


@dataclass(frozen=True)
class Program:
    """How to start it."""

    words: tuple[str, ...]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


def build(kind: ClientKind, generated: Path, folder: Path) -> Program:
    """``generated`` is a project's folder with the kind's file in it; ``folder`` is empty, and for the build's own."""
    folder.mkdir(parents=True)
    return _BUILDERS[kind.language if kind.name != "redisson" else "java"](kind, generated, folder)


def _need(*tools: str) -> None:
    for tool in tools:
        if shutil.which(tool) is None:
            raise Missing(f"no {tool} on this machine")


def _fetch(words: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    try:
        done = _run(words, folder, environment)
    except subprocess.TimeoutExpired:
        raise Missing(f"{words[0]} did not get its packages within {PATIENCE_S} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Missing(f"{Path(words[0]).name} can't get its packages: {said[-1] if said else done.returncode}")


def _compile(words: list[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = _run(words, folder, environment)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}{done.stderr}"


def _run(words: list[str], folder: Path, environment: dict[str, str] | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env=os.environ | (environment or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def _cached(name: str, recipe: str, make: Callable[[Path], None]) -> Path:
    """The folder that ``make`` filled for exactly this recipe; one that was cut is made anew."""
    folder = CACHE / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    mark = folder / ".whole"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        make(folder)
        mark.touch()
    return folder


def _java(kind: ClientKind, generated: Path, folder: Path) -> Program:
    _need("java", "javac", "mvn")
    is_spring = kind.name == "spring-boot"
    pom = (APPS / ("spring" if is_spring else "java") / "pom.xml").read_text().replace("@version@", kind.tried)
    if not is_spring:
        group, artifact, _ = kind.dependency_line.split(":")
        pom = pom.replace("@kind@", kind.name).replace("@group@", group).replace("@artifact@", artifact)

    def make(cache: Path) -> None:
        (cache / "pom.xml").write_text(pom)
        goal = ["dependency:build-classpath", f"-Dmdep.outputFile={cache / 'classpath'}"]
        _fetch(["mvn", "-q", "-B", *goal], cache)

    classpath = (_cached(kind.name, pom, make) / "classpath").read_text().strip()
    load = (APPS / "java" / "Load.java").read_text()
    source = APPS / "spring/src/main/java/app" if is_spring else APPS / kind.name
    (folder / "Load.java").write_text(f"package app;\n{load}" if is_spring else load)
    shutil.copy(source / "App.java", folder)
    written = [str(path) for path in generated.rglob("*.java")]
    names = [str(folder / "Load.java"), str(folder / "App.java")]
    _compile(["javac", "-nowarn", "-cp", classpath, "-d", str(folder / "classes"), *names, *written], folder)
    places = f"{generated / 'src/main/resources'}:{folder / 'classes'}:{classpath}"
    # Many of them share the machine: small heaps, and no second compiler.
    words = ("java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", places)
    return Program((*words, "app.App" if is_spring else "App"), folder)


def _python(kind: ClientKind, generated: Path, folder: Path) -> Program:
    requirement = kind.dependency_line

    def make(cache: Path) -> None:
        _compile([sys.executable, "-m", "venv", str(cache / "venv")], cache)
        _fetch([str(cache / "venv/bin/python"), "-m", "pip", "install", "--quiet", requirement], cache)

    python = _cached(kind.name, f"{sys.version} {requirement}", make) / "venv/bin/python"
    words = (str(python), str(APPS / "python" / f"{kind.name}.py"))
    return Program(words, folder, {"PYTHONPATH": str(generated), "PYTHONDONTWRITEBYTECODE": "1"})


def _node(kind: ClientKind, generated: Path, folder: Path) -> Program:
    _need("node", "npm")
    package = kind.dependency_line.split()[-1]

    def make(cache: Path) -> None:
        (cache / "package.json").write_text('{"private": true}')
        _fetch(["npm", "install", "--silent", "--no-audit", "--no-fund", package], cache)

    cache = _cached(kind.name, package, make)
    for source in (APPS / "node" / "load.js", APPS / "node" / f"{kind.name}.js", *generated.glob("*.js")):
        shutil.copy(source, folder)
    return Program(("node", f"{kind.name}.js"), folder, {"NODE_PATH": str(cache / "node_modules")})


def _go(kind: ClientKind, generated: Path, folder: Path) -> Program:
    _need("go")
    module = kind.dependency_line.split()[-1]
    for source in (APPS / "go" / "load.go", APPS / kind.name / "main.go", generated / "cluster.go"):
        shutil.copy(source, folder)
    _compile(["go", "mod", "init", "client"], folder)
    _fetch(["go", "get", module], folder)
    _compile(["go", "build", "-o", "client", "."], folder, {"GOFLAGS": "-mod=mod"})
    return Program((str(folder / "client"),), folder)


def _rust(kind: ClientKind, generated: Path, folder: Path) -> Program:
    _need("cargo")
    (folder / "src").mkdir()
    (folder / "Cargo.toml").write_text((APPS / "rust/Cargo.toml").read_text().replace("@version@", f"={kind.tried}"))
    shutil.copy(APPS / "rust/src/main.rs", folder / "src")
    shutil.copy(generated / "src/cluster.rs", folder / "src")
    _fetch(["cargo", "fetch", "--quiet"], folder)
    target = CACHE / "rust-target"
    _compile(["cargo", "build", "--quiet"], folder, {"CARGO_TARGET_DIR": str(target)})
    shutil.copy(target / "debug/client-redis-rs", folder / "client")
    return Program((str(folder / "client"),), folder)


_BUILDERS: dict[str, Callable[[ClientKind, Path, Path], Program]] = {
    "yaml": _java,
    "java": _java,
    "python": _python,
    "javascript": _node,
    "go": _go,
    "rust": _rust,
}
