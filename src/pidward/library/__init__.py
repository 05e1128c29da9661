"""pidward inside other programs: processes held by pidfd, and a supervisor in a thread.

The public names are those of ``pidward`` and ``pidward.aio``; docs/library.md shows them at work.
"""
