"""One service while it is being checked: its own keys over the defaults, and where each of them was written."""

import os
from typing import Any

from pidward.config import dotenv
from pidward.config.errors import ConfigError
from pidward.config.files import read_file
from pidward.config.nodes import Table
from pidward.config.positions import Path
from pidward.config.reading import INVALID, Report, is_sound
from pidward.config.schema import SERVICE

Values = dict[str, Any]

NAMED_IN_MESSAGES = (
    "alive", "cpu_affinity", "depends_on", "env_file", "group", "io_priority", "limits", "logs", "nice",
    "oom_score_adj", "pid_file", "ready", "reload", "resources", "schedule", "scheduler", "security", "sockets",
    "stdin", "stop", "supplementary_groups", "user", "working_dir",
)  # fmt: skip
"""Keys of which messages at work may want to name the place."""


class Part:
    """A service.

    own: the keys it has itself. values: these over the defaults. is_whole: it is a table at all.
    """

    def __init__(self, name: str, own: Values, defaults: Values, report: Report) -> None:
        self.name, self.report = name, report
        self.is_whole = own is not INVALID
        self.own: Values = own if self.is_whole else {}
        self.values = _over(defaults, self.own)
        if "depends_on" not in self.own and self.values.get("depends_on", INVALID) is not INVALID:
            self.values["depends_on"] = {k: v for k, v in self.values["depends_on"].items() if k != name}

    def path(self, *keys: str) -> Path:
        """Where a key was written: in the service itself, or in the defaults."""
        part: Any = self.own
        for key in keys:
            if not isinstance(part, dict) or key not in part:
                return ("defaults", *keys)
            part = part[key]
        return ("service", self.name, *keys)

    def get(self, key: str) -> Any:
        """What a key says, when it is set and nothing in it was refused; None otherwise."""
        value = self.values.get(key)
        return value if is_sound(value) else None

    def blamed(self, table: str, *keys: str) -> Path:
        """Choose the place for a contradiction in a table: what the service says itself comes first."""
        own, values = self.own.get(table, {}), self.values[table]
        return self.path(table, next(key for keys_of in (own, values) for key in keys if key in keys_of))

    def origins(self) -> tuple[tuple[str, str], ...]:
        """Where the keys were written that messages may want to name."""
        return tuple((key, self.report.place(self.path(key))) for key in NAMED_IN_MESSAGES if key in self.values)


class EnvFiles:
    """Environment files, each read once; what is wrong with one is reported once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._read: dict[str, dict[str, str]] = {}

    def of(self, part: Part) -> dict[str, str]:
        """All variables of the files that a service names; later files come over earlier ones."""
        variables: dict[str, str] = {}
        path = part.path("env_file")
        for index, name in enumerate(part.get("env_file") or ()):
            variables |= self._file(name, (*path, index))
        return variables

    def _file(self, name: str, path: Path) -> dict[str, str]:
        may_be_missing = name.startswith("-")
        file = os.path.join(os.path.dirname(self._report.file(path)), name.removeprefix("-"))
        if file in self._read:
            return self._read[file]
        self._read[file] = {}
        if may_be_missing and not os.path.lexists(file):
            return {}
        try:
            text = read_file(file)
        except ConfigError as error:
            message = error.problems[0].message
            self._report.at_value(
                path, f"{file}: {message}" + ("; put - before it if it may be missing" * ("No such" in message))
            )
            return {}
        variables, problems = dotenv.parse(text, file)
        self._report.add(problems)
        self._read[file] = {key: value.replace("%", "%%") for key, value in variables.items()}  # no templates there
        return self._read[file]


def _over(defaults: Values, own: Values) -> Values:
    """Lay a service's keys over the defaults; tables meet key by key, anything else replaces."""
    merged = defaults | own
    for key in defaults.keys() & own.keys():
        if isinstance(defaults[key], dict) and isinstance(own[key], dict):
            node = SERVICE.keys[key].of
            rivals = node.one_of if isinstance(node, Table) and own[key].keys() & set(node.one_of) else ()
            merged[key] = {k: v for k, v in defaults[key].items() if k not in rivals} | own[key]
    return merged
