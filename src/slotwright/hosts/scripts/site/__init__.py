"""POSIX shell scripts about slotwright's own things on a host, and what their output says."""

from __future__ import annotations

from slotwright.hosts.facts.installation import Site
from slotwright.hosts.scripts.files import read_script

READ_SITE = read_script("site/read.sh")
MAKE_SITE = read_script("site/make.sh")
REMOVE_SITE = read_script("site/remove.sh")


EXIT_TEXTS = {
    50: "the service user can't be made",
    51: "a folder can't be made or removed",
    52: "this login may not look into its folders",
}


def parse_site(text: str, host: str) -> Site:
    """The output of :data:`READ_SITE`. Raises ValueError for a cut one."""
    lines = [line.partition(" ") for line in text.splitlines() if line.startswith("@")]
    if not lines or lines[0][0] != "@site" or lines[-1][0] != "@end":
        raise ValueError("the output ends too early")
    values = {word: value for word, _, value in lines}
    return Site(
        host,
        has_user="@user" in values,
        link=values.get("@link", ""),
        unit_digest=values.get("@unit", ""),
        enabled=frozenset(value for word, _, value in lines if word == "@enabled"),
        rooms="@rooms" in values,
    )
