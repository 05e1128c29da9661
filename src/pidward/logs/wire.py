"""What supervisor and pump agree on. A module of its own, so that the supervisor does not load the whole pump."""

MAX_MESSAGE = 128 * 1024
