"""A kind's name -> its configuration for a cluster."""

from __future__ import annotations

import re
import textwrap

from slotwright.errors import InputError
from slotwright.model.client import ClientConfig, ClientFacts, ClientFile
from slotwright.planning.clients import golang, java, node, others, python, spring
from slotwright.planning.clients.kind import Kind
from slotwright.planning.clients.template import fill
from slotwright.planning.clients.timing import timing

KINDS: tuple[Kind, ...] = (
    spring.SPRING_BOOT_3,
    java.LETTUCE,
    java.JEDIS,
    java.REDISSON,
    python.REDIS_PY,
    python.VALKEY_PY,
    python.VALKEY_GLIDE,
    node.IOREDIS,
    node.IOVALKEY,
    node.NODE_REDIS,
    golang.GO_REDIS,
    golang.RUEIDIS,
    others.PHPREDIS,
    others.PREDIS,
    others.STACKEXCHANGE_REDIS,
    others.REDIS_RS,
)
"""One each; of Spring Boot the newer generation."""

_PAUSES = 16
_SAFE_USER = re.compile(r"[A-Za-z0-9_.@:+-]+")
_SAFE_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def kind_of(name: str, boot: int = 3) -> Kind:
    """The row of the table; ``boot`` is Spring Boot's generation, 2 or 3. Raises InputError (unknown-kind)."""
    if name == spring.SPRING_BOOT_2.name and boot == 2:
        return spring.SPRING_BOOT_2
    found = next((kind for kind in KINDS if kind.name == name), None)
    if found is None:
        raise InputError(
            f"no client is called '{name}'",
            code="unknown-kind",
            where=name,
            hint=f"one of: {', '.join(kind.name for kind in KINDS)}",
        )
    return found


def generate(kind: Kind, facts: ClientFacts) -> ClientConfig:
    """The configuration, complete. Raises InputError for a user's or a variable's name that would need quotes, as no
    language would then read it as another does."""
    if facts.username and not _SAFE_USER.fullmatch(facts.username):
        raise InputError(f"the user name {facts.username!r} would need quoting", code="bad-user", where="--user")
    if facts.password_variable and not _SAFE_VARIABLE.fullmatch(facts.password_variable):
        raise InputError(
            f"{facts.password_variable!r} is no name of a variable", code="bad-variable", where="--password-env"
        )
    times = timing(facts)
    more = {
        "pause_ms": str(times.patience_ms // _PAUSES),
        # Pauses that grow up to half a second: the first few are over in one.
        "tries": str(times.patience_ms // 500 + 2),
        "features": '"cluster-async", "tokio-comp"' + (', "tokio-rustls-comp"' if facts.is_tls else ""),
    }
    dependency = fill(kind.dependency_line, facts, more).strip()
    text = "\n".join(filter(None, (kind.first, _header(kind, facts, dependency), fill(kind.template, facts, more))))
    return ClientConfig(
        kind=kind.name,
        title=kind.title,
        dependency=dependency,
        files=(ClientFile(kind.file, kind.language, text),),
        environment=(facts.password_variable,) if facts.password_variable else (),
    )


def _header(kind: Kind, facts: ClientFacts, dependency: str) -> str:
    replicas = facts.nodes - facts.shards
    lines = [
        f"{kind.file}: {kind.title}, made by `slotwright client {kind.name}` of {facts.name} as it was seen: "
        f"{facts.server or 'server unknown'}, {facts.shards} shards, {replicas} replicas, "
        f"cluster-node-timeout {facts.node_timeout_ms / 1000:g} s.",
        f"Dependency: {dependency}",
    ]
    if not kind.is_run:
        lines.append("Written by its documentation: slotwright's tests do not run this one.")
    if facts.password_variable:
        lines.append(f"The password is not here: set {facts.password_variable} where the application runs.")
    wrapped = [
        part for line in lines for part in textwrap.wrap(line, 114, break_long_words=False, break_on_hyphens=False)
    ]
    return "\n".join(f"{kind.comment} {line}" for line in wrapped)
