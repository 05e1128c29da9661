"""How an end is told."""

from pidward.core.model import ExitStatus


def test_an_exit_status_is_a_sentence_for_people() -> None:
    ends = (ExitStatus(3, None), ExitStatus(None, 9), ExitStatus(None, 6, True), ExitStatus(None, None))
    assert [str(end) for end in ends] == [
        "exited with code 3", "killed by SIGKILL", "killed by SIGABRT (core dumped)", "ended, and nobody could say how",
    ]  # fmt: skip
