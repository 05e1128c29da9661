"""Output of mode "inherit": workers write to pidward's own stdout and stderr."""

import os
import stat


def own_streams() -> tuple[str, str]:
    """The paths by which a worker opens what we have as stdout and stderr.

    Raises:
        ValueError: one of them cannot be opened by a path, as a socket cannot; in a sentence for people.
    """
    return _path_of(1), _path_of(2)


def _path_of(fd: int) -> str:
    name = ("stdin", "stdout", "stderr")[fd]
    advice = 'choose logs.mode = "file", perhaps with logs.also'
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        raise ValueError(f"cannot inherit pidward's own {name}: it is closed; {advice}") from None
    if stat.S_ISSOCK(mode):  # open(2) says ENXIO
        raise ValueError(f"cannot inherit pidward's own {name}: it is a socket, as under systemd; {advice}")
    return f"/proc/{os.getpid()}/fd/{fd}"
