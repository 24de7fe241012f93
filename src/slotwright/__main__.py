"""``python -m slotwright`` is the same as the ``slotwright`` command."""

from slotwright.cli.main import run

if __name__ == "__main__":
    run()
