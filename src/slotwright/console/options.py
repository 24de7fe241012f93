"""What all verbs share: the options that they have in common, and running a coroutine with progress."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slotwright.cluster.events import Event, Warned
from slotwright.console.crash import COURSE, heed_tasks, warn_of_besides
from slotwright.console.progress import ProgressReporter
from slotwright.console.signals import INTERRUPTION

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from slotwright.app.context import Context
    from slotwright.cluster.secret import Secret

Value = TypeVar("Value")
Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def json_option(function: Decorated) -> Decorated:
    """``--json``: the answer as JSON on stdout, progress as JSON lines on stderr."""
    return click.option("--json", "as_json", is_flag=True, help="Answer in JSON; progress as JSON lines.")(function)


def yes_option(function: Decorated) -> Decorated:
    """``--yes``: no question."""
    return click.option("-y", "--yes", is_flag=True, help="Don't ask.")(function)


def host_keys_option(function: Decorated) -> Decorated:
    """``--accept-new-host-keys``: the explicit yes, where nobody can be asked."""
    return click.option(
        "--accept-new-host-keys",
        "accepts_keys",
        is_flag=True,
        help="Trust SSH host keys that are not known yet (a changed one is never trusted).",
    )(function)


def perform(
    verb: Callable[[Context, ProgressReporter], Coroutine[Any, Any, Value]],
    *,
    as_json: bool,
    quiet: bool = False,
    accepts_keys: bool = False,
) -> Value:
    """Run ``verb`` with a real context, showing its progress."""
    from slotwright.adapters.state.noted_journal import NotedJournal
    from slotwright.app.context import Context

    with ProgressReporter(as_json=as_json, quiet=quiet) as progress:

        def agree(question: str) -> bool:
            progress.pause()
            return accepts_keys or (can_ask() and not as_json and ask(question))

        def ask_secret(question: str) -> Secret | None:
            progress.pause()
            return _typed_secret(question) if can_ask() else None

        def report(event: Event) -> None:
            COURSE.note(event)
            progress.report(event)

        context = Context(
            report=report,
            open_journal=lambda path: NotedJournal(path, COURSE.entries),
            agree=agree,
            ask_secret=ask_secret,
        )
        try:
            return _run_apart(verb(context, progress))
        finally:
            if text := warn_of_besides():
                progress.report(Warned(text))


def _run_apart(verb: Coroutine[Any, Any, Value]) -> Value:
    """As asyncio.run, which lets the signal module print its task, the result with it, twice: that of a large cluster
    has tens of thousands of lines. So the task gets none.

    Raises KeyboardInterrupt where a signal cancelled it."""
    results: list[Value] = []

    async def keep_result() -> None:
        heed_tasks()
        with INTERRUPTION.cancels(asyncio.current_task()):
            results.append(await verb)

    try:
        asyncio.run(keep_result())
    except asyncio.CancelledError:
        if not INTERRUPTION.is_asked:
            raise
        raise KeyboardInterrupt from None
    return results[0]


def _typed_secret(question: str) -> Secret:
    from slotwright.cluster.secret import Secret

    with INTERRUPTION.at_question():
        return Secret(click.prompt(question, hide_input=True, err=True))


def complete_target(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the clusters made here, and YAML files."""
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from slotwright.adapters.state.clusters import known_clusters, state_directory

    texts = [*known_clusters(state_directory()), *(str(path) for path in sorted(Path().glob("*.y*ml")))]
    return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def complete_node(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Addresses of the nodes made here."""
    from click.shell_completion import CompletionItem

    from slotwright.app.context import Context

    world = Context()
    records = [world.store(name).read_record() for name in world.known()]
    texts = [str(node.address) for record in records if record for node in record.blueprint.nodes]
    return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def complete_target_or_node(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Either."""
    return complete_target(context, parameter, incomplete) + complete_node(context, parameter, incomplete)


def can_ask() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """Yes or no, on stderr; Ctrl-C is Ctrl-C."""
    with INTERRUPTION.at_question():
        return click.confirm(question, default=False, err=True)


def ask_name(name: str, question: str) -> bool:
    """A typed confirmation: the name, letter by letter."""
    with INTERRUPTION.at_question():
        answer = click.prompt(f"{question} Type its name ({name}) to go on", default="", show_default=False, err=True)
    return bool(answer == name)


def ask_word(word: str) -> bool:
    """A typed confirmation that names what may be lost."""
    question = f"  Type {word} to accept that, or press Enter to leave this step"
    with INTERRUPTION.at_question():
        answer = click.prompt(question, default="", show_default=False, err=True)
    return bool(answer == word)


def need_yes(verb: str) -> click.UsageError:
    """For a destructive verb without a terminal."""
    return click.UsageError(f"There is nobody to ask (no terminal, or --json): {verb} needs --yes.")
