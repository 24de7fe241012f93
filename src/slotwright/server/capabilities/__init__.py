"""What a server can do. Decisions ask for a capability, never for a version.

``versions.py`` says which server it is, ``table.py`` lists the capabilities, ``value.py`` is what one server has of
them, ``data_files.py`` who reads whose files.
"""

from __future__ import annotations

from slotwright.server.capabilities.data_files import can_read_data, snapshot_format
from slotwright.server.capabilities.table import Capability
from slotwright.server.capabilities.value import (
    QUESTIONS,
    WHICH_COMMANDS,
    Capabilities,
    capabilities_from,
    capabilities_of,
)
from slotwright.server.capabilities.versions import (
    OLDEST,
    is_supported,
    parse_version_output,
    version_from_info,
    version_from_title,
)

__all__ = [
    "OLDEST",
    "QUESTIONS",
    "WHICH_COMMANDS",
    "Capabilities",
    "Capability",
    "can_read_data",
    "capabilities_from",
    "capabilities_of",
    "is_supported",
    "parse_version_output",
    "snapshot_format",
    "version_from_info",
    "version_from_title",
]
