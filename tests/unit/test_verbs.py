"""Every verb is called with what its options are named: click hands them over by name, which no type checker sees."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import pytest

from slotwright.cli.main import main


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*each, id=each[0]) for each in commands(main, "slotwright")]
)
def test_a_verb_takes_its_options_by_their_names(path: str, command: click.Command) -> None:
    assert command.callback is not None
    taken = inspect.signature(command.callback).parameters.values()
    needed = {each.name for each in taken if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD}
    given = {each.name for each in command.params if each.expose_value}
    assert needed - {"context"} <= given, path
    assert given <= {each.name for each in taken}, path
