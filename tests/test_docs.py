"""Links in the documentation lead somewhere, and Sphinx has nothing to complain of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The names that headings of a page get."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("folder", ["commands", "decisions", "howto", "reference", "."])
def test_every_page_is_in_an_index(folder: str) -> None:
    indices = [ROOT / "docs" / name for name in ("README.md", "decisions/README.md", "reference/commands.md")]
    listed = {(index.parent / link).resolve() for index in indices for link in LINK.findall(index.read_text())}
    pages = {page for page in (ROOT / "docs" / folder).glob("*.md") if page.name not in ("README.md", "index.md")}
    assert pages - listed == set()


def test_sphinx_builds_it_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    argv = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(ROOT / "docs"), str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    pages = {page.relative_to(tmp_path).with_suffix("") for page in tmp_path.rglob("*.html")}
    sources = {page.relative_to(ROOT / "docs").with_suffix("") for page in ROOT.glob("docs/*/*.md")}
    assert sources - pages == set()
