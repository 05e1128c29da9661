"""Where things are: the configuration, the runtime and state directories of an instance, the control socket. Lean.

=================  =======================================  =================================================
                   root                                     others
=================  =======================================  =================================================
runtime directory  /run/pidward                             $XDG_RUNTIME_DIR/pidward, else /tmp/pidward-UID
state directory    /var/lib/pidward                         $XDG_STATE_HOME/pidward, else ~/.local/state/pidward
=================  =======================================  =================================================

An instance other than "default" has a directory of its name below. ``runtime_dir`` and ``state_dir`` in the
configuration are taken as they are.
"""

import os
import stat

from pidward.cli.failure import DENIED, USAGE, Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pidward.cli.here import Here

DEFAULT_INSTANCE = "default"
CONFIGURATIONS = ("pidward.toml", "/etc/pidward/pidward.toml")
SOCKET_NAME = "control.sock"
_IN_NAMES = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
NO_FILE = (
    "there is no configuration: neither pidward.toml here nor /etc/pidward/pidward.toml exists; "
    "write one, or name it with -c FILE"
)


def instance_of(here: "Here") -> str:
    """The name of the instance. Raises Failure for one that cannot be a directory's."""
    name = here.instance or os.environ.get("PIDWARD_INSTANCE") or DEFAULT_INSTANCE
    if not _IN_NAMES.issuperset(name) or not name[0].isalnum() or len(name) > 64:
        raise Failure(USAGE, f"instance {name!r}: use letters, digits, '.', '_' and '-', a letter or digit first")
    return name


def configuration_of(here: "Here") -> str | None:
    """The configuration file: the one given, or the first default that exists."""
    if here.config is not None:
        return here.config
    return next((path for path in CONFIGURATIONS if os.path.exists(path)), None)


def socket_of(here: "Here") -> str:
    """The control socket to speak to. What is on the command line outranks the environment."""
    if here.socket is not None:
        return here.socket
    said = os.environ.get("PIDWARD_SOCKET")
    if said and here.config is None and here.instance is None:
        return said
    configuration = configuration_of(here)
    chosen = None if configuration is None else _place_in(configuration, "runtime_dir")
    return os.path.join(chosen or runtime_dir_of(here), SOCKET_NAME)


def runtime_dir_of(here: "Here") -> str:
    """The default runtime directory of the instance. Raises Failure when somebody else holds its name in /tmp."""
    uid = os.geteuid()
    if uid == 0:
        base = "/run/pidward"
    elif os.environ.get("XDG_RUNTIME_DIR"):
        base = os.path.join(os.environ["XDG_RUNTIME_DIR"], "pidward")
    else:
        base = f"/tmp/pidward-{uid}"  # noqa: S108 - in a sticky directory, and used only when it is ours alone
        _check_ours(base, uid)
    return _of_instance(base, here)


def state_dir_of(here: "Here") -> str:
    """The default state directory of the instance."""
    if os.geteuid() == 0:
        base = "/var/lib/pidward"
    else:
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        base = os.path.join(state, "pidward")
    return _of_instance(base, here)


def record_dir_of(here: "Here") -> str | None:
    """The state directory that belongs to ``socket_of``; None when only a socket was named, which does not tell."""
    said = os.environ.get("PIDWARD_SOCKET") and here.config is None and here.instance is None
    if here.socket is not None or said:
        return None
    configuration = configuration_of(here)
    chosen = None if configuration is None else _place_in(configuration, "state_dir")
    return chosen or state_dir_of(here)


def _of_instance(base: str, here: "Here") -> str:
    name = instance_of(here)
    return base if name == DEFAULT_INSTANCE else os.path.join(base, name)


def _check_ours(directory: str, uid: int) -> None:
    try:
        status = os.lstat(directory)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != uid or status.st_mode & 0o077:
        raise Failure(
            DENIED, f"{directory} is not a directory that only uid {uid} can enter; remove it, or set XDG_RUNTIME_DIR"
        )


def _place_in(configuration: str, key: str) -> str | None:
    """What the file says about a directory. The file is parsed only when it says something."""
    try:
        with open(configuration, "rb") as file:
            data = file.read()
    except OSError as error:
        raise Failure(USAGE, f"{configuration}: cannot be read: {error.strerror}; use -c or --socket") from None
    if key.encode() not in data:
        return None
    import tomllib

    try:
        settings = tomllib.loads(data.decode()).get("pidward", {})
    except ValueError as error:
        raise Failure(USAGE, f"{configuration}: {error}; --socket PATH does without the file") from None
    value = settings.get(key) if isinstance(settings, dict) else None
    return value if isinstance(value, str) else None
