"""A kind's name -> its configuration for a cluster."""

from __future__ import annotations

import re
import textwrap

from slotwright.errors import InputError, RefusedError
from slotwright.features.clients.configs.kind import ClientKind
from slotwright.features.clients.configs.template import fill
from slotwright.features.clients.configs.timing import timing
from slotwright.features.clients.model import ClientConfig, ClientFacts, ClientFile
from slotwright.server.addresses import escaped, is_host

_PAUSES = 16
_SAFE_USER = re.compile(r"[A-Za-z0-9_.@:+-]+")
_SAFE_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def generate(kind: ClientKind, facts: ClientFacts) -> ClientConfig:
    """The configuration, complete. Raises InputError for a user's or a variable's name that would need quotes, as no
    language would then read it as another does; RefusedError (address-not-valid) where no node has an address that may
    be written, or one of the seeds is none."""
    _refuse_addresses(facts)
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
        **kind.values,
        "features": '"cluster-async", "tokio-comp"' + (', "tokio-rustls-comp"' if facts.is_tls else ""),
    }
    dependency = fill(kind.dependency_line, facts, more).strip()
    text = "\n".join(
        filter(None, (kind.first, _header(kind, facts, dependency), fill(kind.template_text, facts, more)))
    )
    return ClientConfig(
        kind=kind.name,
        title=kind.title,
        dependency=dependency,
        files=(ClientFile(kind.file, kind.language, text),),
        environment=(facts.password_variable,) if facts.password_variable else (),
        left_out=facts.left_out,
    )


def _refuse_addresses(facts: ClientFacts) -> None:
    """The last look before it is written into program text. All of these were parsed at the wire: in none is a
    character that any of the languages takes for its own."""
    bad = [f"{escaped(seed.host)} is no IP address and no host name" for seed in facts.seeds if not is_host(seed.host)]
    if bad or not facts.seeds:
        raise RefusedError(
            f"{facts.name} has no address that could be written into a configuration",
            code="address-not-valid",
            where=facts.name,
            seen="; ".join(bad or facts.left_out),
            left="nothing was written",
            hint=f"slotwright check {facts.name} names the nodes",
        )


def _header(kind: ClientKind, facts: ClientFacts, dependency: str) -> str:
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
