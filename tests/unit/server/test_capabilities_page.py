"""docs/capabilities.md is what the product's table, and what is on the page of real servers, make of it."""

from __future__ import annotations

from slotwright.server.capabilities import capabilities_of
from slotwright.server.capabilities.table import ROWS
from tests.capabilities.document import PLACE, columns_of, page_of

PAGE = PLACE.read_text()


def test_the_page_is_up_to_date() -> None:
    """Else: make capabilities-doc."""
    assert page_of(columns_of(PAGE)) == PAGE


def test_what_servers_did_is_what_the_table_says_of_their_versions() -> None:
    for column in columns_of(PAGE):
        has = [capabilities_of(column.version).has(row.capability) for row in ROWS]
        assert [cell == "yes" for cell in column.cells] == has
