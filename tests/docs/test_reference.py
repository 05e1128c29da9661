"""Pages that are drawn from the code's tables are as the code is: ``python -m tests.docs.reference`` draws them."""

from pathlib import Path

import pytest

from tests.docs.reference import PART, PARTS, pages, refreshed


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_is_as_the_code_is(page: Path) -> None:
    assert page.read_text() == refreshed(page.read_text()), "draw it: PYTHONPATH=src python -m tests.docs.reference"


def test_every_table_is_on_a_page() -> None:
    assert {found[1] for page in pages() for found in PART.findall(page.read_text())} == set(PARTS)
