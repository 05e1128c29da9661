"""Output of programs, made harmless for a terminal. Pure."""

_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t")}
_DECEIVERS = {0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF}
_ESCAPES = {code: f"\\x{code:02x}" for code in _CONTROLS} | {code: f"\\u{code:04x}" for code in _DECEIVERS}
"""C0 and C1 controls but the tab, which could drive the terminal, and marks that turn or hide text."""


def printable(data: bytes) -> str:
    r"""A line as text in which nothing moves the cursor, changes colours or reorders what is read.

    Bytes that are no UTF-8, and control characters, are shown as ``\x1b``; a carriage return before the line's end,
    as some programs write it, is left out.
    """
    return data.removesuffix(b"\r").decode("utf-8", "backslashreplace").translate(_ESCAPES)
