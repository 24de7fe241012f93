"""From three fresh hosts to a cluster that is proved usable: `slotwright up`, and an Ansible playbook that does it.

    python bench/deploy.py --rounds 3 --json deploy.json --markdown

One run measures all sides on one lab (tests/lab: three containers with systemd, sshd and a running firewall), in turns:
before each try all hosts are as new, and the side that begins changes from round to round. A try is the command as a
whole process, then bench/judge.py, the same for all; the clock stops when the judge agrees. Then the same command runs
once more, with nothing to do.

    slotwright   `slotwright up --yes`: looks at the hosts and judges them, tries every pair of them with a real
                 listener, rehearses the configuration, and proves the outcome, all within its time.
    tuned        bench/deploy/playbook.yml with bench/deploy/tuned.cfg: pipelining, a kept connection, no facts, the
                 strategy "free". None of these four checks.
    defaults     the same playbook as ansible-core runs it when nothing is set.

All sides have the server's package on the hosts already, since fetching it takes the distribution's time; --install
measures the other case too, for slotwright and the tuned playbook. All nodes have a password, and the firewall stays
up: a try fails where a stranger's address can connect to a client or a bus port afterwards.

It needs root, and a package index that has ansible-core: that goes to a folder of the user's cache, once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from environment import describe, find_redis_cli
from figures import markdown, plain, shown
from judge import Check
from lab import child_environment, slotwright_command

from slotwright.adapters.servers.resp import RespDialer
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.nodes.connections import ConnectionPool

HERE = Path(__file__).resolve().parent
PLAYBOOK = HERE / "deploy"
sys.path.append(str(HERE.parent))

from tests.lab.machines import Lab  # noqa: E402 - the lab is beside us, not installed
from tests.lab.root import LabUnavailableError  # noqa: E402

ANSIBLE = "ansible-core==2.19.14"
PORTS = (6379, 6380)
REPLICAS = 1
SIDES = ("slotwright", "tuned", "defaults")
TITLES = {"slotwright": "slotwright up", "tuned": "playbook, tuned", "defaults": "playbook, defaults"}
_INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y redis-server && systemctl disable --now redis-server"


class CantRunError(Exception):
    """The measurement can't be made here; the text says why."""


@dataclass(frozen=True, slots=True)
class Try:
    """One deployment, in seconds from the start of the command.

    ``proved_s``: until the judge agreed. ``command_s``: until the command ended. ``again_s``: the same command once
    more, nothing to do. They say nothing when ``fault``. ``load`` is the machine's load average at the beginning.
    """

    side: str
    number: int
    with_install: bool
    load: float
    proved_s: float = 0.0
    command_s: float = 0.0
    again_s: float = 0.0
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """What all tries of a run share; ``ansible`` is the playbook command."""

    lab: Lab
    folder: Path
    ansible: str
    timeout_s: float
    password: str = field(default_factory=lambda: secrets.token_hex(12), repr=False)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All nodes."""
        return tuple(Address(host.address, port) for port in PORTS for host in self.lab.hosts.values())

    def run(self, side: str, number: int, *, with_install: bool) -> Try:
        """New hosts, the command, the judge, the command again, the judge again."""
        self._renew(with_install=with_install)
        load = os.getloadavg()[0]
        place = Path(tempfile.mkdtemp(prefix=f"{side}-", dir=self.folder))
        command, env = self._slotwright(place) if side == "slotwright" else self._playbook(side, place)
        try:
            began = time.monotonic()
            fault = self._execute(command, env, place)
            command_s = time.monotonic() - began
            fault = fault or asyncio.run(self._judge())
            proved_s = time.monotonic() - began
            fault = fault or self._openings()
            began = time.monotonic()
            fault = fault or self._execute(command, env, place)
            again_s = time.monotonic() - began
            fault = fault or asyncio.run(self._judge())
        finally:
            self._hang_up(place)
        return Try(side, number, with_install, load, proved_s, command_s, again_s, fault)

    def _renew(self, *, with_install: bool) -> None:
        self.lab.renew()
        if not with_install:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda host: host.run(_INSTALL), self.lab.hosts.values()))

    def _execute(self, command: Sequence[str], env: Mapping[str, str], place: Path) -> str:
        """The fault, "" for none."""
        try:
            done = subprocess.run(
                command, cwd=place, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=self.timeout_s
            )
        except subprocess.TimeoutExpired:
            return f"{Path(command[0]).name} did not end within {self.timeout_s:.0f} s"
        if done.returncode == 0:
            return ""
        said = (done.stdout + done.stderr).decode(errors="replace").replace(self.password, "***").strip()
        return f"{Path(command[0]).name}: exit {done.returncode}, {said[-600:]}"

    async def _judge(self) -> str:
        secret = Secret(self.password)
        async with ConnectionPool(RespDialer(secret)) as pool:
            judge = Check(self.addresses, len(self.addresses) // (1 + REPLICAS), REPLICAS, pool)
            return await judge.await_usable(time.monotonic() + self.timeout_s)

    def _openings(self) -> str:
        """What the firewalls should not let pass, and do; and whether they run at all."""
        for host in self.lab.hosts.values():
            if host.run("firewall-cmd --state", check=False).stdout.strip() != "running":
                return f"the firewall of {host.address} does not run"
            for port in (*PORTS, *(port + 10000 for port in PORTS)):
                if self.lab.stranger.can_connect(host.address, port):
                    return f"a stranger can connect to {host.address} port {port}"
        return ""

    # --- the sides ---

    def _slotwright(self, place: Path) -> tuple[list[str], dict[str, str]]:
        (place / ".ssh").mkdir(mode=0o700)
        shutil.copy(self.lab.ssh.known_hosts, place / ".ssh" / "known_hosts")
        hosts = "\n".join(f"  - {{address: {host.address}, rack: {name}}}" for name, host in self.lab.hosts.items())
        (place / "cluster.yaml").write_text(
            f"name: cache\nengine: {{kind: redis, from: package}}\nhosts:\n{hosts}\nports: [{PORTS[0]}, {PORTS[1]}]\n"
            f"ssh: {{user: root, key: {self.lab.ssh.key}}}\nreplicas: {REPLICAS}\n"
            f"clients: [{self.lab.control.address}]\npassword: {{env: CACHE_PASSWORD}}\n"
        )
        env = child_environment(place / "state") | {"HOME": str(place), "CACHE_PASSWORD": self.password}
        env.pop("SSH_AUTH_SOCK", None)
        return [*slotwright_command(), "up", "cluster.yaml", "--yes"], env

    def _playbook(self, side: str, place: Path) -> tuple[list[str], dict[str, str]]:
        words = {
            "hosts": "\n".join(host.address for host in self.lab.hosts.values()),
            "key": str(self.lab.ssh.key),
            "known_hosts": str(self.lab.ssh.known_hosts),
        }
        inventory = place / "inventory.ini"
        inventory.write_text(Template((PLAYBOOK / "inventory.ini").read_text()).substitute(words))
        wanted = place / "secrets.json"
        wanted.touch(mode=0o600)
        wanted.write_text(json.dumps({"password": self.password, "clients": [self.lab.control.address]}))
        nothing_set = place / "defaults.cfg"
        nothing_set.touch()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "SSH_", "PYTHON"))}
        env |= {
            "HOME": str(place),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_HOME": str(place / "ansible"),
            "ANSIBLE_CONFIG": str(PLAYBOOK / "tuned.cfg" if side == "tuned" else nothing_set),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(place / "cp"),
        }
        variables = [f"@{PLAYBOOK / 'variables.yml'}", f"@{wanted}"]
        command = [self.ansible, "-i", str(inventory), *(word for each in variables for word in ("-e", each))]
        return [*command, str(PLAYBOOK / "playbook.yml")], env

    def _hang_up(self, place: Path) -> None:
        """The connections that the playbook keeps."""
        for path in (place / "cp").glob("*"):
            words = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "any"]
            subprocess.run(words, capture_output=True, timeout=10, check=False)


def find_ansible() -> str:
    """The playbook command of :data:`ANSIBLE`, installed in the user's cache once. Raises CantRunError."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    place = cache / "slotwright-bench" / ANSIBLE.replace("==", "-")
    found = place / "bin" / "ansible-playbook"
    if found.exists():
        return str(found)
    print(f"installing {ANSIBLE} in {place}", file=sys.stderr)
    venv.create(place, clear=True, with_pip=True)
    install = [str(place / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", ANSIBLE]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode or not found.exists():
        shutil.rmtree(place, ignore_errors=True)
        raise CantRunError(f"{ANSIBLE} can't be installed: {done.stderr.strip()[-300:]}")
    return str(found)


def measure(course: Course, rounds: int, *, also_install: bool) -> list[Try]:
    """All tries, in turns; told on stderr while they are made."""
    made: list[Try] = []
    for number in range(rounds):
        todo = [(side, False) for side in (*SIDES[number % len(SIDES) :], *SIDES[: number % len(SIDES)])]
        if also_install:
            todo += [(side, True) for side in ("slotwright", "tuned")[:: -1 if number % 2 else 1]]
        for side, with_install in todo:
            found = course.run(side, number, with_install=with_install)
            made.append(found)
            title = TITLES[side] + (", package installed" if with_install else "")
            told = found.fault or f"proved {found.proved_s:.2f} s, again {found.again_s:.2f} s, load {found.load:.1f}"
            print(f"  round {number + 1} of {rounds}  {title:<36}  {told}", file=sys.stderr, flush=True)
    return made


def rows(made: Sequence[Try], rounds: int, *, with_install: bool) -> list[tuple[str, ...]]:
    """A line for each side: seconds, and how many times slotwright's time, round by round."""
    found = []
    for side in SIDES:
        tries = [each for each in made if (each.side, each.with_install) == (side, with_install)]
        if not tries:
            continue
        good = [each for each in tries if not each.fault]
        cells = [shown([each.proved_s for each in good], rounds=rounds), shown([each.again_s for each in good])]
        if side != "slotwright":
            cells += [
                shown(_ratios(made, good, lambda each: each.proved_s), 1),
                shown(_ratios(made, good, lambda each: each.again_s), 1),
            ]
        found.append((TITLES[side], *cells, "", "")[: len(HEADER)])
    return found


def _ratios(made: Sequence[Try], good: Sequence[Try], value: Callable[[Try], float]) -> list[float]:
    ours = {
        (each.number, each.with_install): value(each) for each in made if each.side == "slotwright" and not each.fault
    }
    keys = [((each.number, each.with_install), value(each)) for each in good]
    return [took / ours[key] for key, took in keys if key in ours]


HEADER = ("", "proved usable, s", "again, s", "times slotwright's", "again, times slotwright's")


def _show(made: Sequence[Try], rounds: int, table: Callable[..., str]) -> None:
    print("seconds from the start of the command, median (min-max); the package is there already\n")
    print(table(HEADER, rows(made, rounds, with_install=False)))
    if any(each.with_install for each in made):
        print("\nthe same, with the package's installation\n")
        print(table(HEADER, rows(made, rounds, with_install=True)))
    for found in made:
        if found.fault:
            print(f"\n{TITLES[found.side]}, round {found.number + 1}, failed: {found.fault}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="slotwright up against an Ansible playbook, on the lab.")
    parser.add_argument("--rounds", type=int, default=3, help="tries of each side; 3 unless told")
    parser.add_argument("--install", action="store_true", help="measure also with the package's installation")
    parser.add_argument("--timeout", type=float, default=180, help="seconds until a command or the judge has failed")
    parser.add_argument("--json", metavar="FILE", help="write every try there")
    parser.add_argument("--markdown", action="store_true", help="the tables as Markdown")
    return parser.parse_args()


def main() -> int:
    """Measure and print."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="slotwright-deploy-"))
    try:
        if os.geteuid() != 0:
            raise CantRunError("the lab needs root, for network namespaces and containers")
        ansible = find_ansible()
        with Lab() as lab:
            course = Course(lab, folder, ansible, options.timeout)
            made = measure(course, options.rounds, also_install=options.install)
            server = next(iter(lab.hosts.values())).run("redis-server --version").stdout.split()[2].partition("=")[2]
    except (CantRunError, LabUnavailableError) as reason:
        print(f"bench/deploy.py can't run here: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the lab was taken down", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    environment = describe(f"Redis {server} on three hosts of the lab", find_redis_cli(""))
    loads = [each.load for each in made]
    print(
        f"{environment.line()}; {ANSIBLE}\nload of the machine before the tries: {min(loads):.1f} to {max(loads):.1f}\n"
    )
    _show(made, options.rounds, markdown if options.markdown else plain)
    if options.json:
        answer = {"environment": environment.fields() | {"ansible": ANSIBLE}, "tries": [asdict(each) for each in made]}
        Path(options.json).write_text(json.dumps(answer, indent=1) + "\n")
    return 1 if any(each.fault for each in made) else 0


if __name__ == "__main__":
    sys.exit(main())
