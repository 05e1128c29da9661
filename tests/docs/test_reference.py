"""Pages that are drawn from the code's tables are as the code is: ``python -m tests.docs.reference`` draws them."""

import re
from pathlib import Path

import pytest

from pidward.core.model import Phase
from tests.docs.reference import DOCS, PART, PARTS, pages, refreshed


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_a_page_is_as_the_code_is(page: Path) -> None:
    assert page.read_text() == refreshed(page.read_text()), "draw it: PYTHONPATH=src python -m tests.docs.reference"


def test_every_table_is_on_a_page() -> None:
    assert {found[1] for page in pages() for found in PART.findall(page.read_text())} == set(PARTS)


def test_every_kind_of_event_is_on_its_page() -> None:
    source = "".join(file.read_text() for file in (DOCS.parent / "src").rglob("*.py"))
    kinds = {"transition", *re.findall(r"\bnote\(\s*\"(\w+)\"", source)}
    assert (
        set(re.findall(r"^\| `(\w+)` \|", (DOCS / "reference/events.md").read_text().partition("##")[0], re.M)) == kinds
    )


def test_every_phase_is_on_its_page() -> None:
    page = (DOCS / "worker-life.md").read_text().partition("```mermaid")[0]
    assert re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE) == [phase.value for phase in Phase]
