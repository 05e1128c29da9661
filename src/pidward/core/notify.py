"""What a worker says by sd_notify(3), read from the text of one datagram. Pure; whatever the bytes are, it answers.

Assignments ``NAME=value``, one a line; of two with one name the last counts. What is not known here, and private names
(``X_...``), are passed over as sd_notify(3) asks.
"""

import re

from pidward.core.lean import NamedTuple
from pidward.core.units import MAX_DURATION, Seconds

MAX_TEXT = 4096
"""Bytes of one message; systemd's limit too. Longer ones are not read at all."""
MAX_STATUS = 200
"""Characters of STATUS= that are kept."""
MAX_FD_NAME = 255
_NUMBER = re.compile(r"[0-9]{1,20}")
_FD_NAME = re.compile(r"[!-9;-~][ -9;-~]{0,254}")  # printable ASCII but ":", which LISTEN_FDNAMES uses
_YES = {"READY", "RELOADING", "STOPPING", "WATCHDOG", "MAINPIDFD", "RESTART_RESET", "FDSTORE", "FDSTOREREMOVE",
        "BARRIER"}  # fmt: skip


class Message(NamedTuple):
    """One message. None, False and "" where it says nothing about that.

    unread: names whose value could not be read; they count as not said.
    """

    ready: bool = False
    reloading: bool = False
    stopping: bool = False
    status: str | None = None
    errno: int | None = None
    exit_status: int | None = None
    bus_error: str = ""
    main_pid: int | None = None
    main_inode: int | None = None  # MAINPIDFDID
    main_pidfd: bool = False  # MAINPIDFD=1: a pidfd of the main process comes with it
    watchdog: bool = False
    trigger: bool = False  # WATCHDOG=trigger: act as if a ping had been missed
    watchdog_every: Seconds | None = None  # WATCHDOG_USEC; 0: no more pings
    extend: Seconds | None = None
    restart_reset: bool = False
    store: bool = False
    store_remove: bool = False
    fd_name: str = ""
    fd_poll: bool = True
    barrier: bool = False
    unread: tuple[str, ...] = ()


def parse(data: bytes) -> Message:
    """Read a message; an empty one when it is too long or no text (a NUL before its end)."""
    text = data.rstrip(b"\0")
    if len(data) > MAX_TEXT or b"\0" in text:
        return Message()
    said: dict[str, str] = {}
    for line in text.decode(errors="replace").split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            said[name] = value
    unread: list[str] = []

    def is_said(name: str) -> bool:
        value = said.get(name)
        if value not in (None, "0", "1"):
            unread.append(name)
        return value == "1"

    def number(name: str, least: int = 0) -> int | None:
        value = said.get(name)
        if value is None:
            return None
        if _NUMBER.fullmatch(value) and int(value) >= least:
            return int(value)
        unread.append(name)
        return None

    def duration(name: str) -> Seconds | None:
        microseconds = number(name)
        return None if microseconds is None else Seconds(min(microseconds / 1e6, MAX_DURATION))

    def fd_name() -> str:
        name = said.get("FDNAME", "")
        if name and not _FD_NAME.fullmatch(name):
            unread.append("FDNAME")
            return ""
        return name

    trigger = said.get("WATCHDOG") == "trigger" and bool(said.pop("WATCHDOG"))
    flags = {name: is_said(name) for name in sorted(_YES)}
    return Message(
        ready=flags["READY"],
        reloading=flags["RELOADING"],
        stopping=flags["STOPPING"],
        status=_shown(said["STATUS"]) if "STATUS" in said else None,
        errno=number("ERRNO"),
        exit_status=number("EXIT_STATUS"),
        bus_error=_shown(said.get("BUSERROR", "") or said.get("VARLINKERROR", "")),
        main_pid=number("MAINPID", least=1),
        main_inode=number("MAINPIDFDID", least=1),
        main_pidfd=flags["MAINPIDFD"],
        watchdog=flags["WATCHDOG"],
        trigger=trigger,
        watchdog_every=duration("WATCHDOG_USEC"),
        extend=duration("EXTEND_TIMEOUT_USEC"),
        restart_reset=flags["RESTART_RESET"],
        store=flags["FDSTORE"],
        store_remove=flags["FDSTOREREMOVE"],
        fd_name=fd_name(),
        fd_poll=said.get("FDPOLL") != "0",
        barrier=flags["BARRIER"],
        unread=tuple(dict.fromkeys(unread)),
    )  # fmt: skip


def _shown(text: str) -> str:
    """As much of a text as is kept, without what could play with a terminal."""
    text = text[:MAX_STATUS]
    return "".join(c if c.isprintable() else "?" for c in text)
