"""``slotwright completion``."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command(epilog="Example:  echo 'eval \"$(slotwright completion bash)\"' >> ~/.bashrc")
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str | None) -> int:
    """Print the completion script of SHELL (the one that runs, unless told)."""
    from click.shell_completion import get_completion_class

    from slotwright.cli.main import main

    chosen = shell or Path(os.environ.get("SHELL", "bash")).name
    completion_class = get_completion_class(chosen)
    if completion_class is None:
        raise click.UsageError(f"There is no completion for {chosen}: name bash, zsh or fish.")
    click.echo(completion_class(main, {}, "slotwright", "_SLOTWRIGHT_COMPLETE").source())
    return 0
