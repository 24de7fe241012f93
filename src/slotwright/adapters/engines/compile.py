"""Building a source tarball on hosts: one of them builds for all of its like."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

from slotwright.adapters.engines.archives import gzipped
from slotwright.adapters.engines.builds import Build, build_of, choose_builder, keep_build, read_build
from slotwright.adapters.engines.troubles import cant_build, script_error
from slotwright.cluster.events import Began, Ended, Report
from slotwright.errors import HostError
from slotwright.hosts.facts.engine import Binaries, EngineHost, WantedEngine
from slotwright.hosts.scripts.engine import BUILD
from slotwright.ports import Shell

_BUILD_S = 3600.0


class Builder:
    """Builds what is not kept from an earlier time."""

    def __init__(self, cache: Path, report: Report) -> None:
        self._cache = cache
        self._report = report

    async def build(
        self, shells: Mapping[str, Shell], wanted: Mapping[str, WantedEngine], hosts: Mapping[str, EngineHost]
    ) -> dict[str, Binaries | HostError]:
        """The programs for each host, or why there are none; different architectures are built side by side."""
        binaries: dict[str, Binaries | HostError] = {}
        missing: list[EngineHost] = []
        for name, engine in wanted.items():
            kept = await asyncio.to_thread(read_build, self._cache, engine, hosts[name])
            if kept is None:
                missing.append(hosts[name])
            else:
                binaries[name] = kept.binaries

        def like(host: EngineHost) -> tuple[str, str, str]:
            return host.machine, host.libc, wanted[host.host].digest

        groups = [list(group) for _, group in groupby(sorted(missing, key=like), key=like)]
        for part in await asyncio.gather(*(self._build_group(shells, wanted, group) for group in groups)):
            binaries |= part
        return binaries

    async def _build_group(
        self, shells: Mapping[str, Shell], wanted: Mapping[str, WantedEngine], group: list[EngineHost]
    ) -> dict[str, Binaries | HostError]:
        binaries: dict[str, Binaries | HostError] = {host.host: cant_build(host, wanted[host.host]) for host in group}
        choice = choose_builder(group)
        if choice is None:
            return binaries
        builder, served = choice
        try:
            build = await self._build_on(shells[builder.host], builder, wanted[builder.host])
        except HostError as error:
            return binaries | {host.host: error for host in served}
        return binaries | {host.host: build.binaries for host in served}

    async def _build_on(self, shell: Shell, host: EngineHost, wanted: WantedEngine) -> Build:
        task, text = f"build {host.machine}", f"build {wanted.title} for {host.machine} on {host.host}"
        self._report(Began(task, text))
        source = await asyncio.to_thread(gzipped, Path(wanted.source))
        try:
            result = await shell.run(
                BUILD,
                host.root,
                wanted.kind.value,
                wanted.digest,
                _jemalloc_options(host.machine),
                hashlib.sha256(source).hexdigest(),
                "no",  # TLS can't be set up yet, and a server that wants a libssl runs on fewer hosts
                stdin=source,
                timeout_s=_BUILD_S,
            )
            if result.status:
                raise script_error(result, host, wanted)
            build = build_of(result.output, host)
            await asyncio.to_thread(keep_build, self._cache, wanted, host.libc, build)
        except BaseException:
            self._report(Ended(task, text, is_ok=False))
            raise
        self._report(Ended(task, text))
        return build


def _jemalloc_options(machine: str) -> str:
    """jemalloc runs with pages up to the size that it was built for, and ends at once with larger ones. Arm hosts have
    4, 16 or 64 KiB: built for 64 KiB (2^16), one server runs on all (redis PR 11407)."""
    return "--with-lg-page=16" if machine == "aarch64" else ""
