"""Takes orders on its standard input; some of them it does not survive."""

import ctypes  # noqa: TID251 - to read from address 0, as programs with a bug do
import sys

PR_SET_DUMPABLE = 4

ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # no core file, and no crash reporter to wait for
for order in sys.stdin:
    match order.split():
        case ["crash"]:
            ctypes.string_at(0)
        case ["exit", code]:
            sys.exit(int(code))
