"""The screen of ``pidward top``: curses, keys, and waiting for whatever comes first."""

import curses
import locale
import os
import sys
from select import POLLIN, poll
from typing import TYPE_CHECKING

from pidward.cli.changes import Resizes
from pidward.cli.failure import FAILED, Failure
from pidward.cli.observed import Row, boottime
from pidward.cli.screen import BLUE, GREEN, GREY, PHASE_COLOURS, RED, YELLOW
from pidward.cli.toptable import KEYS, NOTHING, cells, chosen, machine_line, ordered, summary, table

if TYPE_CHECKING:
    from pidward.cli.top import Sight

CLOSELY_EVERY = 5
"""Looks between two at what costs more (refaults, PSS); pressure is an average over 10 s anyway."""
SOONEST = 0.25
"""Seconds between two drawings because something happened."""
ABOVE = 4
_HINT = "q quit  / filter  s PSS  sort: n c m p f r u  R reverse"
_CURSES_COLOURS = {RED: 1, GREEN: 2, YELLOW: 3, BLUE: 4, GREY: 8}
_ESCAPE, _ENTER, _BACKSPACE = 27, (10, 13, curses.KEY_ENTER), (8, 127, curses.KEY_BACKSPACE)


def show(sight: "Sight", sort: str, interval: float, colours: bool) -> None:
    """Show it until somebody has enough: q, or ^C. The terminal is as before afterwards."""
    locale.setlocale(locale.LC_ALL, "")
    try:
        curses.setupterm(fd=sys.stdout.fileno())
    except curses.error:
        name = os.environ.get("TERM", "")
        raise Failure(FAILED, f"top: the terminal {name!r} is not known here; use `pidward top --once`") from None
    resizes = Resizes()
    try:
        screen = curses.initscr()
        try:
            Screen(screen, sight, sort, interval, colours).run(resizes)
        except KeyboardInterrupt:
            pass
        finally:
            curses.endwin()
    finally:
        resizes.close()


class Screen:
    """The screen, and what was typed so far."""

    def __init__(self, window: "curses.window", sight: "Sight", sort: str, interval: float, colours: bool) -> None:
        self._window, self._sight, self._interval = window, sight, interval
        self._key = next(key for key in KEYS if key.name == sort)
        self._reverse = self._typing = False
        self._filter = ""
        self._first = 0  # of the rows, on top of the table
        self._looks = 0
        self._closely: frozenset[str] = frozenset()  # whom the last close look was at
        curses.noecho()
        curses.cbreak()
        _quietly(curses.curs_set, 0)
        window.keypad(True)
        window.nodelay(True)
        curses.set_escdelay(25)
        self._colours: dict[str, int] = {}
        if colours and curses.has_colors():
            curses.start_color()
            curses.use_default_colors()
            self._colours = {name: _pair(code, number) for code, (name, number) in enumerate(_colours(), 1)}

    def run(self, resizes: Resizes) -> None:
        """Until q."""
        waiting = poll()
        for source in (sys.stdin, self._sight.observed, resizes):
            waiting.register(source, POLLIN)
        next_look = boottime()
        while True:
            now = boottime()
            if now >= next_look:
                self._sight.catch_up()
                self._look()
                next_look = now + self._interval
            self._draw()
            drawn = boottime()
            ready = {fd for fd, _ in waiting.poll(max(0.0, next_look - boottime()) * 1000)}
            if resizes.fileno() in ready:
                resizes.take()
                self._resize()
            if sys.stdin.fileno() in ready and not self._take_keys():
                return
            if self._sight.observed.fileno() in ready:
                curses.napms(max(0, int((drawn + SOONEST - boottime()) * 1000)))  # more may come: draw it together
                self._sight.catch_up()

    def _look(self) -> None:
        """Read numbers: what is cheap of all, what costs more of those on the screen, and not each time."""
        self._sight.look()
        self._looks += 1
        everybody = self._key.name in ("pressure", "refaults") or (self._key.name == "memory" and self._sight.pss)
        names = frozenset(self._sight.numbers if everybody else (row.name for row in self._visible()))
        if self._looks % CLOSELY_EVERY == 1 or not names <= self._closely:
            self._sight.look_closely(names)
            self._closely = names

    # --- keys

    def _take_keys(self) -> bool:
        """Do what was typed; False to end."""
        while (key := self._window.getch()) != -1:
            if self._typing:
                self._type(key)
            elif key == ord("q"):
                return False
            else:
                self._command(key)
        return True

    def _type(self, key: int) -> None:
        if key in _ENTER or key == _ESCAPE:
            self._typing = False
            self._filter = "" if key == _ESCAPE else self._filter
        elif key in _BACKSPACE:
            self._filter = self._filter[:-1]
        elif 32 <= key < 127:
            self._filter += chr(key)
        self._first = 0

    def _command(self, key: int) -> None:
        page = max(1, curses.LINES - ABOVE)
        moves = {
            curses.KEY_UP: -1, curses.KEY_DOWN: 1, curses.KEY_PPAGE: -page, curses.KEY_NPAGE: page,
            curses.KEY_HOME: -(10**9), curses.KEY_END: 10**9, ord("k"): -1, ord("j"): 1,
        }  # fmt: skip
        if key in moves:
            self._first += moves[key]  # what is too much is taken back when the table is drawn
        elif key == ord("/"):
            self._typing = True
        elif key == _ESCAPE:
            self._filter = ""
        elif key == ord("R"):
            self._reverse = not self._reverse
        elif key == ord("s"):
            self._sight.pss = not self._sight.pss
            self._closely = frozenset()
            self._look()
        else:
            chosen_key = next((one for one in KEYS if ord(one.letter) == key), None)
            if chosen_key is not None:
                self._key, self._first = chosen_key, 0
                self._look()

    # --- drawing

    def _rows(self) -> list[Row]:
        rows = chosen(self._sight.observed.rows.values(), self._filter)
        return ordered(rows, self._sight.numbers, self._key, self._reverse)

    def _visible(self) -> list[Row]:
        rows, room = self._rows(), max(0, curses.LINES - ABOVE)
        self._first = max(0, min(self._first, len(rows) - room))
        return rows[self._first : self._first + room]

    def _resize(self) -> None:
        size = os.get_terminal_size(sys.stdout.fileno())
        curses.resizeterm(size.lines, size.columns)
        self._window.clear()

    def _draw(self) -> None:
        sight, window = self._sight, self._window
        rows = self._visible()
        width = curses.COLS - 1  # the last cell of the screen is better left alone
        now = boottime()
        titles, *lines = table(
            [cells(row, sight.numbers.get(row.name, NOTHING), now) for row in rows], sight.pss, width
        )
        window.erase()
        everybody = sight.observed.rows.values()
        self._put(0, summary(sight.observed.about["instance"], everybody, sight.numbers), curses.A_BOLD)
        self._put(1, machine_line(sight.meter.machine()), 0)
        self._put(2, self._state_line(len(rows)), 0)
        self._put(3, titles.ljust(width), curses.A_REVERSE)
        for number, (row, text) in enumerate(zip(rows, lines, strict=True), ABOVE):
            self._put(number, text, self._colours.get(row.phase, 0))
        window.refresh()

    def _state_line(self, shown: int) -> str:
        if self._typing:
            return f"filter: {self._filter}_   Enter keeps it, Esc drops it"
        said = f"sorted by {self._key.name}{' reversed' * self._reverse}"
        if self._filter:
            said += f", only {self._filter!r}"
        total = len(self._sight.observed.rows)
        if shown < total:
            said += f", {self._first + 1}-{self._first + shown} of {total}" if shown else f", none of {total}"
        return f"{said}   {_HINT}"

    def _put(self, number: int, text: str, style: int) -> None:
        if number < curses.LINES:
            self._window.addnstr(number, 0, text, max(0, curses.COLS - 1), style)


def _colours() -> list[tuple[str, int]]:
    """Phases and the curses colours of theirs; those that are as they should be are left plain."""
    return [(phase, _CURSES_COLOURS[colour]) for phase, colour in PHASE_COLOURS.items() if colour != GREEN]


def _pair(code: int, colour: int) -> int:
    curses.init_pair(code, colour if colour < curses.COLORS else curses.COLOR_WHITE, -1)
    return curses.color_pair(code)


def _quietly(call: "object", *arguments: int) -> None:
    """Some terminals cannot hide the cursor."""
    assert callable(call)
    try:
        call(*arguments)
    except curses.error:
        pass
