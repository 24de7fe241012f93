"""``python -m tests.lab.shell [HOST ...]``: the lab, up until Ctrl-C, to try things by hand or from other processes."""

from __future__ import annotations

import signal
import sys
import time

from tests.lab.machines import Lab
from tests.lab.root import OPS_PASSWORD, PLAIN_PASSWORD, LabUnavailableError


def main() -> int:
    """Boots the lab, says how to get in, and stays."""
    start = time.monotonic()
    try:
        with Lab(sys.argv[1:] or ("a", "b", "c")) as lab:
            print(f"up after {time.monotonic() - start:.1f} s")
            print(_guide(lab), flush=True)
            while True:
                signal.pause()
    except LabUnavailableError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("taken down", flush=True)
        return 130


def _guide(lab: Lab) -> str:
    hosts = "\n".join(f"  {name}  {host.address}   ssh -F {lab.ssh_config} {name}" for name, host in lab.hosts.items())
    return f"""
{hosts}
  users: root (key), ops (key, or password {OPS_PASSWORD!r}; sudo asks for it), deploy (key; sudo asks nothing),
         plain (key, or password {PLAIN_PASSWORD!r}; no sudo)
  key {lab.ssh.key}   known hosts {lab.ssh.known_hosts}   consoles {lab.folder}/*.console
  a stranger's scanner:   ip netns exec {lab.stranger.namespace} sh
  addresses:           the stranger {lab.stranger.address}, you {lab.control.address}
  from Python:         from tests.lab.machines import Lab; lab = Lab.attach(); lab.hosts["a"].run("id")

Ctrl-C takes everything down."""


if __name__ == "__main__":
    sys.exit(main())
