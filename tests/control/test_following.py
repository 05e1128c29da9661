"""A stream of events: no gap and no repetition, whatever comes when."""

from collections.abc import Callable

from pidward.control.following import Follower
from pidward.core.model import EventRow


class Reader:
    """A history, and who follows it."""

    def __init__(self, length: int, page: int, since: int = 0) -> None:
        self.history = [EventRow(seq, 0.0, "k", "", "", {}) for seq in range(1, length + 1)]
        self.sent: list[list[int]] = []
        self.later: list[Callable[[], None]] = []
        self.follower = Follower(
            lambda after: [row for row in self.history if row.seq > after][:page],
            since,
            lambda rows: self.sent.append([row.seq for row in rows]),
            self.later.append,
        )

    def happen(self) -> EventRow:
        row = EventRow(len(self.history) + 1, 0.0, "k", "", "", {})
        self.history.append(row)
        return row

    def turn(self) -> None:
        later, self.later[:] = self.later[:], []
        for call in later:
            call()


def test_pages_then_the_present() -> None:
    reader = Reader(5, page=2)
    for _ in range(5):
        reader.follower.catch_up()
    assert reader.sent == [[1, 2], [3, 4], [5]]
    reader.follower.happened(reader.happen())
    reader.follower.happened(reader.happen())
    assert reader.sent == [[1, 2], [3, 4], [5]]  # what is urgent comes first
    reader.turn()
    assert reader.sent == [[1, 2], [3, 4], [5], [6, 7]]


def test_an_event_in_the_midst_of_the_past_comes_by_its_page() -> None:
    reader = Reader(4, page=2)
    reader.follower.catch_up()
    reader.follower.happened(reader.happen())
    reader.turn()
    for _ in range(4):
        reader.follower.catch_up()
    assert reader.sent == [[1, 2], [3, 4], [5]]


def test_an_event_that_a_page_brought_is_not_told_again() -> None:
    reader = Reader(1, page=2)
    late = reader.happen()
    reader.follower.catch_up()
    reader.follower.catch_up()
    reader.follower.happened(late)
    reader.turn()
    assert reader.sent == [[1, 2]]


def test_an_empty_beginning_is_told_once() -> None:
    reader = Reader(0, page=2, since=-5)
    reader.follower.catch_up()
    reader.follower.catch_up()
    assert reader.sent == [[]]
    reader.follower.happened(reader.happen())
    reader.turn()
    assert reader.sent == [[], [1]]
