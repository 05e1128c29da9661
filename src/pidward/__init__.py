"""A process supervisor that knows every process by its pidfd, never by a number."""

__version__ = "0.1.0"
