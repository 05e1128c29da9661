"""The table of ``pidward top``, without a screen."""

import pytest

from pidward.cli.observed import Row
from pidward.cli.toptable import KEYS, Numbers, cells, chosen, machine_line, ordered, size, summary, table
from pidward.runtime.meter import Machine

ROWS = [
    Row("web/1", "ready", "10:100", 0, 50.0, True),
    Row("web/2", "backing-off", None, 7, None, False),
    Row("db/1", "ready", "12:102", 1, 10.0, True),
]
NUMBERS = {"web/1": Numbers(0.005, 1 << 20, None, 0.0, 12), "db/1": Numbers(1.5, 3 << 20, 2 << 20, 33.3, None)}


@pytest.mark.parametrize(
    "key, names",
    [
        ("name", ["web/1", "web/2", "db/1"]),
        ("cpu", ["db/1", "web/1", "web/2"]),
        ("memory", ["db/1", "web/1", "web/2"]),
        ("pressure", ["db/1", "web/1", "web/2"]),
        ("refaults", ["web/1", "web/2", "db/1"]),
        ("restarts", ["web/2", "db/1", "web/1"]),
        ("uptime", ["web/2", "db/1", "web/1"]),
    ],
)
def test_sorting(key: str, names: list[str]) -> None:
    how = next(one for one in KEYS if one.name == key)
    assert [row.name for row in ordered(ROWS, NUMBERS, how, reverse=False)] == names


def test_the_other_way_round() -> None:
    by = {key.name: key for key in KEYS}
    assert [row.name for row in ordered(ROWS, NUMBERS, by["name"], reverse=True)] == ["db/1", "web/2", "web/1"]
    assert [row.name for row in ordered(ROWS, NUMBERS, by["cpu"], reverse=True)] == ["web/2", "web/1", "db/1"]


def test_each_key_has_a_letter_of_its_own() -> None:
    letters = [key.letter for key in KEYS] + list("qRsjk/")
    assert len(set(letters)) == len(letters)


def test_filter() -> None:
    assert [row.name for row in chosen(ROWS, "web")] == ["web/1", "web/2"]
    assert [row.name for row in chosen(ROWS, "backing")] == ["web/2"]
    assert chosen(ROWS, "") == ROWS


def test_cells() -> None:
    assert cells(ROWS[0], NUMBERS["web/1"], 55.0) == [
        "web/1", "ready", "10:100", "0.5", "1.0M", "0.0", "12", "0", "5s",
    ]  # fmt: skip
    assert cells(ROWS[1], Numbers(), 55.0) == ["web/2", "backing-off", "-", "-", "-", "-", "-", "7", "-"]
    assert cells(ROWS[2], NUMBERS["db/1"], 55.0)[3:6] == ["150.0", "2.0M", "33.3"]


def laid_out(width: int, name: str = "web/1") -> list[str]:
    rows = [cells(row, NUMBERS.get(row.name, Numbers()), 55.0) for row in ROWS]
    rows[0][0] = name
    return table(rows, False, width)


def test_columns_stand_below_each_other() -> None:
    titles, first, second, third = laid_out(0)
    assert titles.split() == [
        "WORKER", "PHASE", "PID:INODE", "CPU%", "RSS", "PRESS%", "REFAULTS", "RESTARTS", "UPTIME",
    ]  # fmt: skip
    assert first.index("10:100") == third.index("12:102") == titles.index("PID:INODE")
    assert {len(line) for line in (titles, first, second, third)} == {len(titles)}


@pytest.mark.parametrize("width", [1, 5, 12, 20, 30, 40, 50, 60, 70, 79, 131])
def test_no_line_is_wider_than_the_screen(width: int) -> None:
    titles, *lines = laid_out(width)
    assert max(map(len, lines)) <= max(width, len("x     0.5  1.0M"))
    if width >= 20:
        assert max(map(len, [titles, *lines])) <= width


def test_what_matters_most_stays_longest() -> None:
    assert laid_out(30)[0].split() == ["WORKER", "PHASE", "CPU%", "RSS"]
    assert "PID:INODE" in laid_out(79)[0]


def test_long_names_are_cut_where_there_is_no_room() -> None:
    assert laid_out(79, "w" * 70 + "/1")[1].startswith("wwwwwwwww")
    assert "~" in laid_out(79, "w" * 70 + "/1")[1]
    assert laid_out(0, "w" * 70 + "/1")[1].startswith("w" * 70 + "/1 ")


def test_no_rows() -> None:
    assert len(table([], True, 80)) == 1


def test_totals() -> None:
    assert summary("default", ROWS, NUMBERS) == (
        "pidward default: 2 ready, 1 backing-off; CPU 150.5%, RSS 4.0M, 8 restarts"
    )
    assert summary("default", [], {}) == "pidward default: no workers; CPU 0.0%, RSS 0K, 0 restarts"


def test_the_machine() -> None:
    machine = Machine(1.0, 0.5, 60.0, 0.0, 16 << 30, 4 << 30)
    assert machine_line(machine) == "pressure memory 1.0%, all memory 0.5%, cpu 60.0%, io 0.0%; 4.0G of 16.0G free"
    assert machine_line(Machine(None, None, None, None, 0, 0)) == "pressure is not told by this kernel; 0K of 0K free"


@pytest.mark.parametrize(
    "number, text",
    [(0, "0K"), (4096, "4K"), (999 << 10, "999K"), (1 << 20, "1.0M"), (300 << 20, "300M"), (1 << 30, "1.0G"),
     (5000 << 30, "4.9T")],
)  # fmt: skip
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text
