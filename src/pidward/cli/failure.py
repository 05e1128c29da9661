"""How a command ends when it does not end well. Lean: every command imports this."""

OK, FAILED, USAGE, NOT_RUNNING, DENIED, UNREACHABLE = 0, 1, 2, 3, 4, 7
INTERRUPTED, PIPE_CLOSED = 130, 141  # as a shell reports SIGINT and SIGPIPE


class Failure(Exception):
    """Ends the command. The message, on stderr, says what, where, why and what to do.

    status: the exit status of the process.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
