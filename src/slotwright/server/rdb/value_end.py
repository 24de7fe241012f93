"""Finding the end of one value, however large, while it comes in pieces.

A :class:`ValueWalk` remembers where in the value it is, so that a hash of a million fields that comes in a thousand
pieces is walked once and not a thousand times.
"""

from __future__ import annotations

from typing import cast

from slotwright.server.rdb.layouts import LENGTH, MODULE, SCORE, STRING, Layout
from slotwright.server.rdb.strings import ShortError, read_length, skip_string

_MODULE_LENGTHS = (1, 2)
_MODULE_FIXED = {3: 4, 4: 8}
_MODULE_STRING = 5
_OLD_SCORES_WITHOUT_TEXT = 253


class ValueWalk:
    """A walk over one value of the given layout."""

    __slots__ = ("_stack", "short_by")

    def __init__(self, layout: Layout) -> None:
        self._stack: list[list[object]] = [[layout, 0, 1]]  # rows of this layout, next step, rows left
        self.short_by = 0
        """After :meth:`advance`: 0 when the value has ended, else how many bytes from there it needs at least."""

    def advance(self, data: bytes, at: int) -> int:
        """Goes on from ``at`` as far as ``data`` reaches, and says how far: what is before it isn't needed again.

        Raises :class:`ValueError` for what can't be part of such a value.
        """
        stack = self._stack
        self.short_by = 0
        reached = at
        try:
            while stack:
                frame = stack[-1]
                layout, step_at, rows = cast("tuple[Layout, int, int]", frame)
                if step_at == 0 and _is_flat(layout):
                    reached, rows = skip_rows(data, reached, layout, rows)
                    frame[2] = rows
                    if rows:
                        raise ShortError(_row_end(data, reached, layout))
                    stack.pop()
                elif step_at == len(layout):
                    frame[1], frame[2] = 0, rows - 1
                    if rows == 1:
                        stack.pop()
                else:
                    step = layout[step_at]
                    if isinstance(step, tuple):
                        count, reached = read_length(data, reached)
                        frame[1] = step_at + 1
                        if count:
                            stack.append([step, 0, count])
                    elif step == MODULE:
                        reached, is_ended = _module_part(data, reached)
                        frame[1] = step_at + is_ended
                    else:
                        end = _step(data, reached, step)
                        if end > len(data):
                            raise ShortError(end)
                        reached = end
                        frame[1] = step_at + 1
        except IndexError:
            self.short_by = max(len(data), reached) + 1 - reached
        except ShortError as short:
            self.short_by = short.until - reached
        return reached


def _is_flat(layout: Layout) -> bool:
    return not any(isinstance(step, tuple) or step == MODULE for step in layout)


def skip_rows(data: bytes, at: int, layout: Layout, rows: int) -> tuple[int, int]:
    """Goes over rows that are wholly there: (position, rows left). No step of the layout is a tuple or MODULE."""
    size = len(data)
    try:
        if layout == (STRING,):
            while rows:
                first = data[at]
                end = at + 1 + first if first < 0x40 else skip_string(data, at)
                if end > size:
                    break
                at = end
                rows -= 1
            return at, rows
        while rows:
            end = at
            for step in cast("tuple[int, ...]", layout):
                if step == STRING:
                    first = data[end]
                    end = end + 1 + first if first < 0x40 else skip_string(data, end)
                else:
                    end = _step(data, end, step)
            if end > size:
                break
            at = end
            rows -= 1
    except (IndexError, ShortError):
        pass
    return at, rows


def _row_end(data: bytes, at: int, layout: Layout) -> int:
    """How far the buffer must reach, at least, for the row at ``at``, which is not wholly there."""
    end = at
    try:
        for step in cast("tuple[int, ...]", layout):
            end = _step(data, end, step)
    except IndexError:
        return max(len(data), end) + 1
    except ShortError as short:
        return short.until
    return end


def _step(data: bytes, at: int, step: int) -> int:
    """Where one item of a layout ends, which may be behind the end of the buffer."""
    if step > 0:
        return at + step
    if step == STRING:
        return skip_string(data, at)
    if step == LENGTH:
        return read_length(data, at)[1]
    if step == SCORE:
        first = data[at]
        return at + 1 + (first if first < _OLD_SCORES_WITHOUT_TEXT else 0)
    raise ValueError(f"no step of a layout: {step}")


def _module_part(data: bytes, at: int) -> tuple[int, bool]:
    """One of the parts that a module's value is framed in (rdb.h, "Module serialized values sub opcodes"), and whether
    it was the mark at the end."""
    opcode, at = read_length(data, at)
    if opcode == 0:
        return at, True
    if opcode in _MODULE_LENGTHS:
        end = read_length(data, at)[1]
    elif opcode == _MODULE_STRING:
        end = skip_string(data, at)
    elif opcode in _MODULE_FIXED:
        end = at + _MODULE_FIXED[opcode]
    else:
        raise ValueError(f"part {opcode} of a module's value")
    if end > len(data):
        raise ShortError(end)
    return end, False


_MODULE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def module_name(number: int) -> str:
    """The name of a module's type: nine letters of six bits each (module.c, moduleTypeEncodeId).

    The lowest ten bits are the version of its encoding.
    """
    return "".join(_MODULE_LETTERS[number >> (10 + 6 * place) & 63] for place in reversed(range(9)))
