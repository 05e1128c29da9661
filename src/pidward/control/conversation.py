"""One call under way, as the methods of the service see it."""

from collections.abc import Callable

from pidward.control.interface import Refusal
from pidward.core.lean import Protocol

Parameters = dict[str, object]


class Conversation(Protocol):
    """Takes the answer of one call. After the last reply, or when the client has gone, it hears nothing more.

    by: who called, in plain words.
    more: any number of replies are welcome.
    on_gone: called once when the conversation is over, however it ended.
    on_drained: called when the client has taken all replies so far.
    """

    by: str
    more: bool
    on_gone: Callable[[], None]
    on_drained: Callable[[], None]

    def answer(self, parameters: Parameters, continues: bool = False) -> None:
        """Send a reply; the last one unless it continues."""

    def fail(self, refusal: Refusal) -> None:
        """Send an error, which is the last reply."""
