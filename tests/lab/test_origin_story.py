"""The evening that this began with: one redis.conf edited and copied, six servers, ``redis-cli --cluster create``.

Once as it should have been done, and once without ``masterauth``, where redis-cli's ``create`` and ``check`` say OK.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from redis.cluster import RedisCluster
from redis.exceptions import RedisError

from tests.lab.looks import fingerprint
from tests.lab.machines import Lab
from tests.lab.operator import PASSWORD, Operator, eventually

PORTS = (6379, 6380)

EDIT = r"""
address=$1 password=$(cat)
export DEBIAN_FRONTEND=noninteractive
command -v redis-server >/dev/null || apt-get install -qy redis-server >/dev/null
systemctl disable -q --now redis-server
for port in 6379 6380; do
  mkdir -p -m 0700 /opt/redis/$port
  sed -e "s/^bind .*/bind 0.0.0.0/" -e "s/^protected-mode .*/protected-mode no/" \
    -e "s/^daemonize .*/daemonize yes/" -e "s/^port .*/port $port/" \
    -e "s|^logfile .*|logfile /opt/redis/$port/redis.log|" -e "s|^pidfile .*|pidfile /opt/redis/$port/redis.pid|" \
    -e "s|^dir .*|dir /opt/redis/$port|" -e "s/^# cluster-enabled .*/cluster-enabled yes/" \
    -e "s/^supervised .*/supervised no/" /etc/redis/redis.conf > /opt/redis/$port/redis.conf
  printf 'requirepass "%s"\n' "$password" >> /opt/redis/$port/redis.conf
  [ "$2" = without ] || printf 'masterauth "%s"\n' "$password" >> /opt/redis/$port/redis.conf
  redis-server /opt/redis/$port/redis.conf
  firewall-cmd -q --permanent --add-port=$port/tcp --add-port=1$port/tcp
done
firewall-cmd -q --reload
"""
CREATE = 'redis-cli --no-auth-warning -a "$(cat)" --cluster create "$@" --cluster-replicas 1 --cluster-yes'
CHECK = 'redis-cli --no-auth-warning -a "$(cat)" --cluster check "$1"'
END = """
pkill -9 -x redis-server
while pgrep -x redis-server >/dev/null; do sleep 0.02; done
rm -rf /opt/redis
for port in 6379 6380; do firewall-cmd -q --permanent --remove-port=$port/tcp --remove-port=1$port/tcp; done
firewall-cmd -q --reload
"""


@contextlib.contextmanager
def by_hand(operator: Operator, masterauth: str) -> Iterator[str]:
    """A cluster as one makes it by hand; its first node's address."""
    hosts = operator.lab.hosts
    try:
        for host in hosts.values():
            host.run(EDIT, host.address, masterauth, stdin=PASSWORD)
        nodes = [f"{host.address}:{port}" for port in PORTS for host in hosts.values()]
        for place in nodes:
            eventually(lambda place=place: answers(operator, place), f"{place} to answer")
        created = hosts["a"].run(CREATE, *nodes, stdin=PASSWORD)
        assert "[OK] All 16384 slots covered." in created.stdout
        yield nodes[0]
    finally:
        for host in hosts.values():
            host.run(END, check=False)


def answers(operator: Operator, place: str) -> bool:
    address, _, port = place.rpartition(":")
    name = next(name for name, host in operator.lab.hosts.items() if host.address == address)
    return operator.node(name, int(port)).ping() is True


@pytest.fixture
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    operator = Operator(lab, tmp_path_factory.mktemp("origin"))
    operator.environment["SLOTWRIGHT_PASSWORD"] = PASSWORD
    return operator


def adopt(operator: Operator, seed: str) -> None:
    words = ("--name", "cache", "--user", "root", "--key", str(operator.lab.ssh.key))
    operator.run("adopt", seed, *words, "--json").succeeded()
    assert operator.file.exists()
    assert PASSWORD not in operator.file.read_text()


def looks(operator: Operator) -> dict[str, list[str]]:
    """Everything but what the servers themselves write while they run."""
    return {
        name: [line for line in fingerprint(host) if not line.startswith("/opt/redis/") or "redis.conf" in line]
        for name, host in operator.lab.hosts.items()
    }


def settings(operator: Operator) -> list[object]:
    found: list[object] = []
    for name in operator.lab.hosts:
        for port in PORTS:
            node = operator.node(name, port)
            found += [node.config_get("*"), node.acl_list(), node.info("server")["process_id"]]
    return found


def serves(client: RedisCluster) -> bool:
    try:
        return all(client.set(f"key:{number}", number) for number in range(100))
    except RedisError:
        return False


def test_a_cluster_made_by_hand_is_adopted_and_found_sound(operator: Operator) -> None:
    with by_hand(operator, "with") as seed:
        client = operator.client()
        # redis-cli is done before every node says ok.
        eventually(lambda: serves(client), "the cluster to take writes")
        for number in range(100):
            client.set(f"key:{number}", number)
        before, told = looks(operator), settings(operator)
        adopt(operator, seed)
        assert operator.plan()["pending"] is False
        assert looks(operator) == before
        assert settings(operator) == told
        eventually(lambda: operator.check().succeeded().json["ok"], "the replicas in sync")
        status = operator.run("status", "--json").succeeded()
        assert all(host.address in status.out for host in operator.lab.hosts.values())
        assert [client.get(f"key:{number}") for number in range(100)] == [str(n).encode() for n in range(100)]
        assert settings(operator) == told
        refused = operator.destroy()
        assert refused.code in (2, 4), refused.text
        assert all(operator.node(name, port).ping() for name in operator.lab.hosts for port in PORTS)


def test_without_masterauth_everything_seems_well_and_check_says_what_is_not(operator: Operator) -> None:
    with by_hand(operator, "without") as seed:
        hosts = operator.lab.hosts
        said = hosts["a"].run(CHECK, seed, stdin=PASSWORD)
        assert "[OK] All 16384 slots covered." in said.stdout, "redis-cli sees nothing wrong"
        links = [operator.node(name, port).info("replication") for name in hosts for port in PORTS]
        replicas = [link for link in links if link["role"] == "slave"]
        assert [link["master_link_status"] for link in replicas] == ["down"] * 3
        before = looks(operator)
        adopt(operator, seed)
        assert looks(operator) == before
        found = operator.check().ended_with(3).json["findings"]
        missing = [each for each in found if each["code"] == "replica-auth-missing"]
        assert len(missing) == 3, found
        assert all("masterauth" in f"{each['what']}{each['seen']}{each['remedy']}" for each in missing)
        assert all(each["severity"] == "serious" for each in missing)
