"""The one place where answers become JSON. Their shapes are output types (``console/output.py``), documented in
docs/json.md, and never changed without ``FORMAT``.

msgspec is imported when something is written: an error, which may be that it can't be loaded, needs the number alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from slotwright.console.streams import as_json, print_out

if TYPE_CHECKING:
    from slotwright.console.output import Output

FORMAT = 1
"""The version of all shapes together: it goes up when a field goes, or changes its name, type or meaning."""


def print_json(answer: Output) -> None:
    """One object, with the version of its shape."""
    import msgspec

    print_out(as_json({"format": FORMAT, **msgspec.to_builtins(answer)}, sys.stdout, indent=2))


def print_json_line(line: Output) -> None:
    """One of many, in ASCII, told at once: somebody may be waiting for it. Raises BrokenPipeError: who follows may go
    away, and nothing is to be followed then."""
    import json

    import msgspec

    print(json.dumps(msgspec.to_builtins(line)), flush=True)
