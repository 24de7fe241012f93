"""Work that must come to its end, also when who waits for it is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


async def shielded(work: Coroutine[Any, Any, Value]) -> Value:
    """Do ``work`` to its end. A cancellation that comes meanwhile is raised afterwards, unless ``work`` itself failed:
    what it could not do counts more."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
