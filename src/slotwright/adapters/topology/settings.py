"""``settings``: directives that go through to the server, and those that slotwright decides itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slotwright.adapters.topology.schema import Report, as_written
from slotwright.server.integers import integer_in
from slotwright.server.path_directives import TOUCHES, Touch, why_no_name
from slotwright.server.setting_values import SHORTEST_NODE_TIMEOUT_MS

_FROM_HOSTS = "addresses come from `hosts`"
_FROM_PORTS = "ports come from `ports`; the bus port is always the port + 10000"
_FROM_REPLICAS = "roles come from `replicas` and `shards`"
_BY_VERBS = "use `slotwright start` and `slotwright stop`"
_BY_LOGS = "read the log with `slotwright logs`"
_BY_ADDRESS = "clients reach a node by its address: `hosts` and `ports`"

DECIDED: Mapping[str, tuple[str, str]] = {
    "port": ("slotwright sets the port of each node", _FROM_PORTS),
    "tls-port": ("slotwright sets the port of each node", "TLS can't be set up yet"),
    "cluster-port": ("slotwright sets the bus port of each node", _FROM_PORTS),
    "bind": ("slotwright sets where each node listens", _FROM_HOSTS),
    "bind-source-addr": ("slotwright sets where each node listens", _FROM_HOSTS),
    "protected-mode": ("slotwright closes nodes by address and password", "use `hosts` and `password`"),
    "dir": ("every node has a directory of its own", "use `data`"),
    "daemonize": ("slotwright runs the servers itself", _BY_VERBS),
    "supervised": ("slotwright runs the servers itself", _BY_VERBS),
    "pidfile": ("slotwright runs the servers itself", _BY_VERBS),
    "logfile": ("slotwright keeps and rotates the log of each node", _BY_LOGS),
    "syslog-enabled": ("slotwright keeps and rotates the log of each node", _BY_LOGS),
    "requirepass": ("slotwright sets the password of every node, on both ends", "use `password`"),
    "user": ("users and access lists come later", "use `password`"),
    "aclfile": ("users and access lists come later", "use `password`"),
    "unixsocket": ("the nodes of a host would take one socket from each other", _BY_ADDRESS),
    "unixsocketperm": ("the nodes have no Unix socket", _BY_ADDRESS),
    "unixsocketgroup": ("the nodes have no Unix socket", _BY_ADDRESS),
    "req-res-logfile": ("all nodes of a host would write one file", _BY_LOGS),
    "cluster-enabled": ("slotwright decides by the mode", "use `mode: cluster` or `mode: single`"),
    "cluster-preferred-endpoint-type": (
        "clients are told the address of each node, which all of them have",
        _BY_ADDRESS,
    ),
    "cluster-config-file": ("the server's own record lies in the node's directory", "use `data`"),
    "replicaof": ("slotwright decides who replicates whom", _FROM_REPLICAS),
    "slaveof": ("slotwright decides who replicates whom", _FROM_REPLICAS),
    "include": ("everything that a node runs with is in this file", "write the directives under `settings`"),
}
"""Directives that may not stand under ``settings``: why, and what to use instead."""

_ANNOUNCE = re.compile(
    r"cluster-announce-(?!human-nodename$).*|(?:replica|slave)-announce-(?:ip|port)|primary-announce-.*"
)
"""All nodes would announce one and the same. The name for people steers nobody."""
_SECRETS = {
    *("masterauth", "masteruser", "primaryauth", "primaryuser"),
    *("tls-key-file-pass", "tls-client-key-file-pass"),
}
_DIRECTIVE = re.compile(r"[a-z0-9][a-z0-9._-]*")


def read_settings(raw: Mapping[str, object], report: Report) -> tuple[tuple[str, str], ...]:
    """(directive, value) pairs in the file's order, a directive with a list once for each entry.

    Whether the server knows a directive is not decided here. No message quotes a value: it may be a secret.
    """
    pairs: list[tuple[str, str]] = []
    results: set[str] = set()
    for key, value in raw.items():
        name = key.lower()
        if _is_usable(key, name, name in results, report):
            results.add(name)
            pairs.extend((name, text) for text in _texts(key, value, report))
    return tuple(pairs)


def decided_by_slotwright(directive: str) -> tuple[str, str] | None:
    """Why ``directive`` (lower case) may not be set and what to use instead; None when it may."""
    if _ANNOUNCE.fullmatch(directive):
        return "slotwright sets the address that each node announces", "use `hosts` and `ports`"
    return DECIDED.get(directive)


def _is_usable(key: str, name: str, is_again: bool, report: Report) -> bool:
    path = ("settings", key)
    if not _DIRECTIVE.fullmatch(name):
        report.problem(f"{key!r} is not the name of a directive", *path, hint="for example `maxmemory: 64mb`")
    elif decided := decided_by_slotwright(name):
        report.problem(f"{name} can't be set here: {decided[0]}", *path, hint=decided[1])
    elif is_again:
        report.problem(f"{name} stands twice in settings", *path, hint="give it a list: [first, second]")
    else:
        if name in _SECRETS:
            report.warning(f"{name} is a secret written in the file", *path, hint="`password` keeps it elsewhere")
        return True
    return False


def _texts(key: str, value: object, report: Report) -> list[str]:
    if not isinstance(value, list):
        text = _text(key, value, ("settings", key), report)
        return [] if text is None else [text]
    if not value:
        report.problem(f"{key} has an empty list", "settings", key, hint='write "" for an empty value')
    results = [_text(key, item, ("settings", key, at), report) for at, item in enumerate(value)]
    return [text for text in results if text is not None]


def _refuse_timeout(name: str, text: str, path: tuple[str | int, ...], report: Report) -> None:
    timeout_ms = integer_in(text) if name == "cluster-node-timeout" else None
    if timeout_ms is not None and timeout_ms < SHORTEST_NODE_TIMEOUT_MS:
        report.problem(
            f"{name} is {timeout_ms} ms: nodes that are well would hold each other failed",
            *path,
            hint=f"it counts milliseconds: 15000 is usual, {SHORTEST_NODE_TIMEOUT_MS} the least",
        )


def _refuse_name(name: str, text: str, path: tuple[str | int, ...], report: Report) -> None:
    """The server writes its data under that name in the node's folder, over what is there."""
    reason = why_no_name(text) if text and TOUCHES.get(name) is Touch.NAME else ""
    if reason:
        hint = "give a plain name, like `dump.rdb`, or leave it out: every node has a folder of its own"
        report.problem(f"{name} can't have this value: {reason}", *path, hint=hint)


def _text(key: str, value: object, path: tuple[str | int, ...], report: Report) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = as_written(value)
    if text is None:
        report.problem(f"{key} has no value", *path, hint='write "" for an empty value')
    elif not isinstance(text, str):
        report.problem(f"{key} must be one value or a list of values", *path)
    elif re.search(r"[\n\r\0]", text):
        report.problem(f"{key} holds a line break or a NUL, which a configuration file can't carry", *path)
    else:
        _refuse_name(key.lower(), text, path, report)
        _refuse_timeout(key.lower(), text, path, report)
        return text
    return None
