"""Mistakes of pidward itself, met on the loop: told as events, and survived."""

import os
from collections.abc import Callable

MAX_FAULTS = 100
"""Kinds that are told apart; more are not told."""


class Faults:
    """For ``Loop.on_error``. Of each kind the first is told, then the 10th, the 100th and so on.

    Args:
        note: makes an event of a sentence.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._seen: dict[str, int] = {}

    def tell(self, error: Exception, gave_up: bool) -> None:
        """An exception left a callback. gave_up: its descriptor is not watched any more."""
        place = _place(error)
        kind = f"{type(error).__name__} at {place}"
        if kind not in self._seen and len(self._seen) >= MAX_FAULTS:
            return
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        if gave_up or str(count).rstrip("0") == "1":
            times = f", {count} times" if count > 1 else ""
            end = "; what failed so often is not looked at any more" if gave_up else ""
            self._note(f"internal error: {type(error).__name__}: {error} (at {place}{times}); please report this{end}")


def _place(error: Exception) -> str:
    """File and line where it was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}" if trace is not None else "?"
