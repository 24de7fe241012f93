"""``python -m slotwright`` is the same as the ``slotwright`` command: both begin here.

Everything else is imported inside, so that an installation that is not whole, and a signal in the first tenth of a
second, are said as all other errors are.
"""

from __future__ import annotations

import sys


def run() -> None:
    """Import the command and run it."""
    try:
        from slotwright.console.signals import INTERRUPTION

        INTERRUPTION.install()
        from slotwright.cli.main import run as command
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseException as error:
        sys.exit(_not_whole(error))
    command()


def _not_whole(error: BaseException) -> int:
    """Nothing of ours is there to say it with."""
    what = f"slotwright can't be loaded: {type(error).__name__}: {error}"
    hint = "install it again, with all that it needs: pip install --force-reinstall slotwright"
    if "--json" in sys.argv:
        import json

        fields = {"code": "not-installed", "what": what, "where": "", "hint": hint, "left": "nothing was changed"}
        text, stream = json.dumps({"format": 1, "error": fields}), sys.stdout
    else:
        text, stream = f"error: {what}\n  left   nothing was changed\n  next   {hint}", sys.stderr
    try:
        # Either may be closed (None), full, or a pipe that nobody reads: then nothing can be said.
        stream.write(f"{text}\n")
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return 1
    return 1


if __name__ == "__main__":
    run()
