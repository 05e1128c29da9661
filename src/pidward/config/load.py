"""Reads ``pidward.toml``. Either all of it is right, or every mistake is named with its place."""

from pidward.config.build import build
from pidward.config.files import parse_toml, read_file
from pidward.config.including import include
from pidward.config.positions import Positions
from pidward.config.reading import Report, read
from pidward.config.schema import ROOT
from pidward.core.spec import Configuration


def load(path: str) -> Configuration:
    """Read a configuration file and those that it names.

    As root a file that everybody may write is refused: it decides what runs as root.

    Raises:
        ConfigError: a file cannot be read, or is not valid; carries all problems.
    """
    return parse(read_file(path), path)


def parse(text: str, path: str) -> Configuration:
    """Read a configuration from its text.

    ``path`` is what problems and origins name as the file; included and environment files are looked for beside it.

    Raises:
        ConfigError: the text is not valid; carries all problems.
    """
    raw = parse_toml(text, path)
    report = Report(path, Positions(text))
    values = read(ROOT, raw, (), report)
    include(values, path, report)
    return build(values, path, report)
