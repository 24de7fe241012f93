"""The arithmetic of fitness: sizes, ports, clocks, and what is known of a kernel. Whole cases are in tests/tables."""

from __future__ import annotations

import pytest

from slotwright.cluster.sizes import parse_bytes
from slotwright.hosts.facts.profile import EngineTrial, HostMemory, HostProfile, HostTime, System
from slotwright.hosts.fitness import check_fitness
from slotwright.hosts.fitness.arm64_cow import CowBug, check_result, cow_bug
from slotwright.hosts.fitness.capacity import affordable_maxmemory, as_setting, shown_bytes
from slotwright.hosts.fitness.requirements import Requirements, clock_offset, runs_of, version_numbers

GB = 2**30


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("100", 100),
        ("1k", 1000),
        ("1kb", 1024),
        ("2GB", 2 * GB),
        ("1m", 10**6),
        ("3b", 3),
        (" 5mb ", 5 * 2**20),
    ],
)
def test_sizes_are_read_as_the_server_reads_them(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "much", "1.5gb", "-1", "1tb", "10%"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert parse_bytes(text) is None


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("2.36", (2, 36)), ("5.10.0-60.18.0.50", (5, 10, 0)), ("4.19", (4, 19)), ("", ()), ("v1", ()), ("6", (6,))],
)
def test_versions(text: str, numbers: tuple[int, ...]) -> None:
    assert version_numbers(text) == numbers


@pytest.mark.parametrize(
    ("ports", "runs"),
    [
        ((), ()),
        ((6379,), ((6379, 6379),)),
        ((6380, 6379, 6379), ((6379, 6380),)),
        ((1, 2, 5, 7, 8, 9), ((1, 2), (5, 5), (7, 9))),
    ],
)
def test_neighbouring_ports_are_put_together(ports: tuple[int, ...], runs: tuple[tuple[int, int], ...]) -> None:
    assert runs_of(ports) == runs


def timed(start: float, end: float, step: float = 0.0) -> HostProfile:
    return HostProfile("h1", time=HostTime(start, end, step))


def test_the_time_that_the_script_took_is_no_uncertainty() -> None:
    # 10 ms there, 80 ms of script, 30 ms back; the host is 5 s ahead.
    offset = clock_offset(timed(1005.010, 1005.090), 1000.0, 1000.120)
    assert offset is not None
    assert offset.ahead_s == pytest.approx(4.99, abs=1e-6) and offset.uncertainty_s == pytest.approx(0.02, abs=1e-6)
    assert abs(offset.ahead_s - 5) <= offset.uncertainty_s


def test_a_clock_of_whole_seconds_is_known_to_half_a_second() -> None:
    offset = clock_offset(timed(1000, 1000, 1.0), 1000.6, 1000.7)
    assert offset is not None and offset.uncertainty_s == pytest.approx(0.55) and abs(offset.ahead_s) <= 0.55


def test_no_clock_no_offset() -> None:
    assert clock_offset(HostProfile("h1"), 1.0, 2.0) is None


@pytest.mark.parametrize(
    ("kernel", "state"),
    [
        ("6.1.0-18-arm64", CowBug.FIXED),
        ("5.10.0-182.0.0.95.oe2203sp3.aarch64", CowBug.FIXED),
        ("5.9.12", CowBug.FIXED),
        ("5.9.11", CowBug.PRESENT),
        ("5.8.1", CowBug.PRESENT),
        ("5.4.0-42-generic", CowBug.UNTESTABLE),
        ("5.4.17-2136.300.7.el8uek.aarch64", CowBug.UNTESTABLE),
        ("4.19.161", CowBug.FIXED),
        ("4.19.160", CowBug.PRESENT),
        ("4.19.90-52.22.v2207.ky10.aarch64", CowBug.UNTESTABLE),
        ("4.18.0-147.5.1.el8_1.aarch64", CowBug.UNTESTABLE),
        ("4.14.180-perf-gae096ac9215c", CowBug.PRESENT),
        ("4.14.210", CowBug.FIXED),
        ("4.9.100", CowBug.UNTESTABLE),
        ("4.4.0", CowBug.FIXED),
        ("", CowBug.UNTESTABLE),
    ],
)
def test_what_a_kernel_s_version_tells_of_the_copy_on_write_bug(kernel: str, state: CowBug) -> None:
    found, known_by = cow_bug(HostProfile("h1", System(architecture="aarch64", kernel=kernel)))
    assert found is state and "kernel" in known_by


def test_the_server_s_own_check_outweighs_the_version() -> None:
    trial = EngineTrial("/x", check_output="[THP]...OK\n[madvise-free-fork-bug]...OK")
    profile = HostProfile("h1", System(architecture="aarch64", kernel="5.8.1"), engine=trial)
    assert cow_bug(profile)[0] is CowBug.FIXED
    assert check_result(profile, "THP") == "OK" and check_result(profile, "overcommit") == ""


@pytest.mark.parametrize(
    ("total", "nodes", "setting"),
    [
        (4 * GB, 2, "1100mb"),
        (64 * GB, 2, "21gb"),
        (1 * GB, 1, "560mb"),
        (256 * 2**20, 2, "20mb"),
        (128 * 2**20, 2, None),
    ],
)
def test_the_maxmemory_that_a_host_bears(total: int, nodes: int, setting: str | None) -> None:
    fitting = affordable_maxmemory(total, nodes, 1)
    assert (as_setting(fitting) if fitting else None) == setting


def test_replicas_take_buffers() -> None:
    assert affordable_maxmemory(GB, 1, 0) > affordable_maxmemory(GB, 1, 1) > affordable_maxmemory(GB, 1, 3)


def test_the_maxmemory_that_is_offered_is_not_found_short_again() -> None:
    for gigabytes in (1, 2, 3, 8, 31, 64, 512):
        for nodes in (1, 2, 6):
            host = HostProfile("h1", memory=HostMemory(total_bytes=gigabytes * GB, swap_bytes=0))
            fitting = affordable_maxmemory(gigabytes * GB, nodes, 1)
            if not fitting:
                continue
            ports = (("h1", tuple(range(6379, 6379 + nodes))),)
            wants = Requirements(ports, settings=(("maxmemory", as_setting(fitting)),), is_remote=False)
            assert check_fitness((host,), wants) == ()


@pytest.mark.parametrize(
    ("count", "shown"), [(39 * 2**20, "39 MB"), (GB, "1.0 GB"), (int(12.7 * GB), "12.7 GB"), (3 * 2**40, "3.0 TB")]
)
def test_sizes_are_shown_in_the_server_s_units(count: int, shown: str) -> None:
    assert shown_bytes(count) == shown


def test_a_host_that_tells_nothing_gets_no_finding_out_of_nothing() -> None:
    codes = {one.code for one in check_fitness((HostProfile("h1"),), Requirements((("h1", (6379,)),)))}
    assert codes == {"no-service-manager", "os-unknown", "firewall-not-visible"}


def test_settings_are_the_last_that_the_file_gives_and_ports_those_of_the_host() -> None:
    wants = Requirements(
        (("h1", (6379,)),),
        settings=(("maxclients", "10"), ("maxclients", "20"), ("tcp-backlog", "many"), ("maxmemory", "1gb")),
    )
    assert wants.files == 52 and wants.backlog == 511 and wants.maxmemory_bytes == GB
    assert wants.ports_of("elsewhere") == () and wants.hosts == ("h1",)
