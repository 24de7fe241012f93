"""What to do next, for errors that are raised where nobody knows what was wanted: by their codes."""

from __future__ import annotations

_BY_CODE = {
    "answers-unreadable": "see what answers there (redis-cli -h HOST -p PORT INFO): a server that is broken, a proxy, "
    "or no server",
    "declined": "",
    "closed": "try it once more; if it stays so, its log says why it hangs up (slotwright logs HOST:PORT)",
    "host-files": "see what is in the way there (ls -ld), take it away, and type the command again",
    "loading": "wait until it has read its data, then type the command again",
    "not-a-server": "name the client port of a Redis or Valkey server: not its bus port (+ 10000), and no TLS",
    "not-permitted": "give its user the rights that it names, or log in as another one",
    "record-unreadable": "put the file right, or a copy of it in its place: each archive has one",
    "refused": "start it, or name the port that it listens on",
    "tls": "name a plain port beside it (port beside tls-port); for a look from outside: redis-cli --tls",
    "timeout": "see whether its host is up and whether it hangs (slotwright check), and whether a firewall drops what "
    "is sent to it",
    "unreachable": "see whether its host is up, its name right, and a firewall in between",
    "wrong-password": "give the password that it has",
}

_OTHERWISE = "slotwright status tells what is there; --help tells what the command takes"


def usual_hint(code: str) -> str:
    """A next step for every error: a sentence that fits the code."""
    if code.startswith("topology-"):
        return "put the file right where it says, or write another one: slotwright init OTHER.yaml"
    return _BY_CODE.get(code, _OTHERWISE)
