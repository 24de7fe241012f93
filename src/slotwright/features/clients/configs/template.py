"""Templates that stay readable in their own language: plain text with three marks.

``<<name>>``  a value.
``?flag|``    at the start of a line: the line is there only where the flag holds; ``!flag|``: only where it doesn't.
``*|``        at the start of a line: once for each seed, with ``<<seed>>``, ``<<host>>`` and ``<<port>>``; ``*,|`` puts
              a comma after all but the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from slotwright.features.clients.configs.timing import MAX_REDIRECTS, timing
from slotwright.features.clients.model import ClientFacts

_MARK = re.compile(r"(?:([?!])([a-z]+)\||\*(,?)\|)(.*)", re.DOTALL)
_VALUE = re.compile(r"<<([a-z_]+)>>")


def fill(template: str, facts: ClientFacts, more: Mapping[str, str]) -> str:
    """The text for these facts. Flags: ``tls``, ``user``, ``password``. Raises KeyError for a name that nobody knows,
    which a test sees for every template."""
    values = {**_values(facts), **more}
    return "\n".join(line.rstrip() for line in _lines(template.strip("\n"), facts, values)) + "\n"


def _lines(template: str, facts: ClientFacts, values: Mapping[str, str]) -> Iterator[str]:
    flags = {
        "tls": facts.is_tls,
        "user": bool(facts.username and facts.password_variable),
        "password": bool(facts.password_variable),
    }
    for line in template.split("\n"):
        mark = _MARK.fullmatch(line)
        if mark is None:
            yield _filled(line, values)
            continue
        sign, flag, comma, rest = mark.groups()
        if sign is None:
            yield from _seeds(rest, facts, values, comma)
        elif flags[flag] is (sign == "?"):
            # A line may have several marks.
            yield from _lines(rest, facts, values)


def _seeds(line: str, facts: ClientFacts, values: Mapping[str, str], comma: str) -> Iterator[str]:
    for number, seed in enumerate(facts.seeds, 1):
        own = {"seed": str(seed), "host": seed.host, "port": str(seed.port)}
        yield _filled(line, {**values, **own}) + (comma if number < len(facts.seeds) else "")


def _filled(line: str, values: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda match: values[match[1]], line)


def _values(facts: ClientFacts) -> dict[str, str]:
    times = timing(facts)
    return {
        "cluster": facts.name,
        "env": facts.password_variable,
        "user": facts.username,
        "connect_ms": str(times.connect_ms),
        "command_ms": str(times.command_ms),
        "patience_ms": str(times.patience_ms),
        "refresh_ms": str(times.refresh_ms),
        "refresh_s": str(max(1, times.refresh_ms // 1000)),
        "connect_s": f"{times.connect_ms / 1000:g}",
        "command_s": f"{times.command_ms / 1000:g}",
        "takeover_s": f"{times.takeover_ms / 1000:g}",
        "redirects": str(MAX_REDIRECTS),
        # A try every quarter of a second, until the patience ends.
        "attempts": str(max(8, times.patience_ms // 250)),
    }
