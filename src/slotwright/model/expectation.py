"""What a check holds the servers against: the blueprint, the settings, and what the file allows."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.model.blueprint import Blueprint
from slotwright.model.topology import HostSpec


@dataclass(frozen=True, slots=True)
class Expectation:
    """``settings`` are canonical values by directive (empty: not judged; secrets inside, so no ``repr``).

    ``hosts`` carries the rack labels; ``allow_colocated_replicas`` as in the file.
    """

    blueprint: Blueprint
    hosts: tuple[HostSpec, ...] = ()
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    allow_colocated_replicas: bool = False
