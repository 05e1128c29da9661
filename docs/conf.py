"""How Sphinx builds these pages: ``make docs``. On a forge they are read as they are, so their links are plain."""

import os
import re
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer

project = "pidward"
author = "the pidward authors"
html_title = "pidward"

extensions = ["myst_parser"]
exclude_patterns = ["README.md"]  # index.md holds it
html_theme = "furo"
html_show_copyright = False
html_copy_source = False
myst_heading_anchors = 4


DOCS = Path(__file__).parent
PLACES = {
    DOCS / "README.md": "index.md",
    DOCS.parent / "README.md": "index.md",
    DOCS.parent / "bench" / "README.md": "project/bench.md",
    **{
        DOCS.parent / f"{n.upper()}.md": f"project/{n}.md"
        for n in ("architecture", "contributing", "security", "changelog")
    },
}
"""Where in the built documentation a page is that lies elsewhere in the repository."""
BRANCHES = {"reference/commands": "/commands/*", "decisions/README": "/decisions/0*"}
"""Pages that list others, and which those are."""
LINK = re.compile(r"(?<=\]\()[\w./-]+\.md(?=[#)])")


def lead_inside(text: str, folder: Path) -> str:
    """Have the links of a page that lies in a folder lead to where the pages are when they are built."""

    def target(found: re.Match[str]) -> str:
        page = Path(os.path.normpath(folder / found[0]))
        return f"/{PLACES[page]}" if page in PLACES else f"/{page.relative_to(DOCS)}"

    return LINK.sub(target, text)


def read_page(_app: Any, name: str, source: list[str]) -> None:
    source[0] = lead_inside(source[0], (DOCS / name).parent)
    if name in BRANCHES:
        source[0] += f"\n```{{toctree}}\n:hidden:\n:glob:\n\n{BRANCHES[name]}\n```\n"


def read_included(_app: Any, path: Path, _name: str, source: list[str]) -> None:
    source[0] = lead_inside(source[0], (DOCS / path).parent)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.add_lexer("mermaid", TextLexer)  # to draw it takes a script from elsewhere; its text can be read
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
