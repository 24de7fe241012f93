"""The checksum that ends a snapshot and a DUMP: CRC-64/REDIS (crc64.c, reflected 0xad93d23594c935a9, begins with 0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import anycrc

crc64 = cast("Callable[..., int]", anycrc.Model("CRC64-REDIS").calc)
"""``crc64(data)``, or ``crc64(data, so_far)`` to go on from what came before. ``data`` is bytes or a memoryview."""
