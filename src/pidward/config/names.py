"""What the names that users choose may look like, and how command lines are split."""

import re

MAX_NAME = 63


def check_service_name(name: str) -> None:
    """Raise ValueError with the reason if a service cannot have this name: it becomes part of paths and of cgroups."""
    _check_name(name, "service")


def check_group_name(name: str) -> None:
    """Raise ValueError with the reason if a group of services cannot have this name."""
    _check_name(name, "group")


def _check_name(name: str, what: str) -> None:
    if not name:
        raise ValueError(f"the name of a {what} must not be empty")
    if len(name) > MAX_NAME:
        raise ValueError(f"the name of a {what} has at most {MAX_NAME} characters, this one has {len(name)}")
    if wrong := re.search(r"[^A-Za-z0-9_.-]", name):
        raise ValueError(f"the name of a {what} has only letters, digits, '_', '.' and '-', not {wrong[0]!r}")
    if not name[0].isalnum():
        raise ValueError(f"the name of a {what} begins with a letter or a digit, not {name[0]!r}")


def check_variable_name(name: str) -> None:
    """Raise ValueError with the reason if an environment variable cannot have this name."""
    if not name:
        raise ValueError("the name of a variable must not be empty")
    if wrong := re.search("[=\0]", name):
        raise ValueError(f"the name of a variable must not contain {wrong[0]!r}")


def split_command(line: str) -> list[str]:
    """Split a command line by the quoting rules of a shell, without running one; ValueError if quotes are open."""
    import shlex  # noqa: PLC0415 - only for those who write strings

    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"cannot split the command: {str(error).lower()}") from None
