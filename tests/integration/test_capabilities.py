"""What the product's table says of each server is what the server tells, and what it does."""

from __future__ import annotations

import pytest

from slotwright.server.capabilities import capabilities_of, snapshot_format
from slotwright.server.capabilities.table import ROWS
from tests.capabilities.document import PLACE, Column, columns_of
from tests.capabilities.trials import FORMATS, Measured, measure
from tests.engines import TestEngine, engine_params


@pytest.fixture(scope="module", params=engine_params())
def measured(request: pytest.FixtureRequest) -> Measured:
    engine: TestEngine = request.param
    return measure(engine)


def test_what_it_does_is_what_it_tells(measured: Measured) -> None:
    assert {row.capability: measured.does(row.capability) for row in ROWS} == {
        row.capability: measured.told.has(row.capability) for row in ROWS
    }


def test_what_it_tells_is_what_the_table_says_of_its_version(measured: Measured) -> None:
    assert measured.told == capabilities_of(measured.version)


def test_its_snapshots_have_the_format_that_is_known(measured: Measured) -> None:
    newest = snapshot_format(measured.version)
    assert measured.writes == newest
    redis_only = range(12, 80) if newest >= 80 else ()
    assert measured.takes == tuple(number for number in FORMATS if number <= newest and number not in redis_only)


def test_the_page_says_the_same(measured: Measured) -> None:
    """By line: a later patch release may say no in other words."""
    line = measured.version.numbers[:2]
    (column,) = (column for column in columns_of(PLACE.read_text()) if column.version.numbers[:2] == line)
    now = Column.of(measured)
    assert [cell.partition(":")[0] for cell in column.cells] == [cell.partition(":")[0] for cell in now.cells]
    assert (column.writes, column.takes) == (now.writes, now.takes)
