"""What is read from the text of a notify message."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pidward.core.notify import MAX_STATUS, MAX_TEXT, Message, parse

KNOWN = [
    "READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "EXIT_STATUS", "BUSERROR", "VARLINKERROR", "MAINPID",
    "MAINPIDFD", "MAINPIDFDID", "WATCHDOG", "WATCHDOG_USEC", "EXTEND_TIMEOUT_USEC", "RESTART_RESET", "FDSTORE",
    "FDSTOREREMOVE", "FDNAME", "FDPOLL", "BARRIER", "MONOTONIC_USEC",
]  # fmt: skip


@pytest.mark.parametrize(
    "text, said",
    [
        ("READY=1", Message(ready=True)),
        ("READY=1\nSTATUS=Up and well\n", Message(ready=True, status="Up and well")),
        ("READY=0", Message()),
        ("RELOADING=1\nMONOTONIC_USEC=123", Message(reloading=True)),
        ("STOPPING=1", Message(stopping=True)),
        ("STATUS=", Message(status="")),
        ("STATUS=a=b", Message(status="a=b")),
        ("STATUS=\x1b[31mred\r", Message(status="?[31mred?")),
        ("STATUS=one\nSTATUS=two", Message(status="two")),
        ("ERRNO=2", Message(errno=2)),
        ("EXIT_STATUS=3", Message(exit_status=3)),
        ("BUSERROR=org.example.Error", Message(bus_error="org.example.Error")),
        ("MAINPID=4711", Message(main_pid=4711)),
        ("MAINPID=4711\nMAINPIDFDID=815", Message(main_pid=4711, main_inode=815)),
        ("MAINPIDFD=1", Message(main_pidfd=True)),
        ("WATCHDOG=1", Message(watchdog=True)),
        ("WATCHDOG=trigger", Message(trigger=True)),
        ("WATCHDOG_USEC=2500000", Message(watchdog_every=2.5)),  # type: ignore[arg-type]
        ("EXTEND_TIMEOUT_USEC=1000000", Message(extend=1.0)),  # type: ignore[arg-type]
        ("RESTART_RESET=1", Message(restart_reset=True)),
        ("FDSTORE=1\nFDNAME=cache\nFDPOLL=0", Message(store=True, fd_name="cache", fd_poll=False)),
        ("FDSTOREREMOVE=1\nFDNAME=cache", Message(store_remove=True, fd_name="cache")),
        ("BARRIER=1", Message(barrier=True)),
        ("X_MINE=1\nNEXT_YEARS=1\nno assignment\n\n=\n=1", Message()),
        ("ready=1", Message()),
        (" READY=1", Message()),
        ("READY=1\0", Message(ready=True)),
        ("READY=1\0\nSTATUS=x", Message()),
        ("", Message()),
        ("READY=yes", Message(unread=("READY",))),
        ("MAINPID=0", Message(unread=("MAINPID",))),
        ("MAINPID=-1", Message(unread=("MAINPID",))),
        ("MAINPID=٣", Message(unread=("MAINPID",))),
        ("WATCHDOG_USEC=soon", Message(unread=("WATCHDOG_USEC",))),
        ("WATCHDOG=2", Message(unread=("WATCHDOG",))),
        ("FDSTORE=1\nFDNAME=a:b", Message(store=True, unread=("FDNAME",))),
        ("FDSTORE=1\nFDNAME=" + "a" * 256, Message(store=True, unread=("FDNAME",))),
    ],
)
def test_what_is_said(text: str, said: Message) -> None:
    assert parse(text.encode()) == said


def test_a_status_is_kept_short() -> None:
    assert parse(b"STATUS=" + b"x" * 1000).status == "x" * MAX_STATUS


def test_numbers_end_somewhere() -> None:
    assert parse(b"MAINPID=" + b"9" * 4000) == Message(unread=("MAINPID",))
    extended = parse(b"EXTEND_TIMEOUT_USEC=" + b"9" * 20).extend
    assert extended is not None
    assert extended < 1e11


def test_what_is_too_long_is_not_read() -> None:
    assert parse(b"READY=1\nSTATUS=".ljust(MAX_TEXT, b"x")).ready
    assert parse(b"READY=1\nSTATUS=".ljust(MAX_TEXT + 1, b"x")) == Message()


LINES = st.tuples(st.sampled_from(KNOWN), st.one_of(st.sampled_from(["0", "1", "trigger"]), st.text(max_size=30)))


@given(st.one_of(st.binary(max_size=300), st.lists(LINES).map(
    lambda lines: "\n".join(f"{name}={value}" for name, value in lines).encode(errors="replace"))))  # fmt: skip
@example(b"\xff\xfe=1\nREADY=\xff")
def test_whatever_comes_has_an_answer(data: bytes) -> None:
    message = parse(data)
    assert (message.status or "").isprintable()
    assert message.bus_error.isprintable()
    assert len(message.unread) <= len(KNOWN)
    assert parse(data + b"\0") == message or len(data) >= MAX_TEXT
