"""The one table of commands: a new command is one line here and a module of that name beside it.

The module has ``options(parser)``, which adds its arguments to an argparse parser, and ``run(here, given)``, which
returns the exit status. Lean: nothing is imported before it is called.
"""

COMMANDS = {
    # command: (module, what it does, in one line)
    "up": ("up", "start the supervisor and its services"),
    "down": ("down", "stop all workers in reverse order, then the supervisor"),
    "status": ("status", "show each worker: phase, process, uptime, restarts, last exit, memory"),
    "health": ("health", "tell by the exit status whether all is live, ready or started, for container managers"),
    "start": ("change", "start services or workers and wait until they are ready"),
    "stop": ("change", "stop services or workers and wait until they are down"),
    "restart": ("change", "replace the processes of services or workers by new ones"),
    "scale": ("scale", "have more or fewer workers of a service, touching only the difference"),
    "run": ("run", "supervise one command without a file; good as the first process of a container"),
    "wait": ("wait", "block until workers are ready, stopped, or have ended"),
    "plan": ("plan", "show what `reload` would change, without doing it"),
    "reload": ("reload", "read the configuration again and change only what changed"),
    "signal": ("signal", "send a signal to workers, or to any process; it reaches no other than that one"),
    "kill": ("kill", "send SIGKILL to workers, their whole trees, or any process"),
    "logs": ("logs", "show what workers wrote to stdout and stderr"),
    "top": ("top", "watch workers live: processor time, memory, pressure, restarts"),
    "tree": ("tree", "show all processes of workers as a tree, with those that got away marked"),
    "events": ("events", "show what happened: starts, exits and their causes, restarts and their reasons"),
    "check": ("check", "find every mistake in a configuration file"),
    "schema": ("schema", "print the JSON Schema of the configuration, for editors"),
    "doctor": ("doctor", "show what this kernel grants and what is used instead of what it does not"),
    "completion": ("completion", "print the completion script for bash, zsh or fish"),
    "demo": ("demo", "start real programs, break them, and show each recovery"),
    "version": ("version", "print the version"),
}

HIDDEN = {"__complete": ("complete", "names for the completion scripts")}

RAW: dict[str, tuple[str, ...]] = {"run": ("--verbose", "-h", "--help")}
"""Commands that read their words themselves, because what they import is kept in memory for good, too: with their
options that have no value. The first word that is neither an option nor a value begins a command that is not ours.
"""

LEAN: dict[str, tuple[str, ...]] = {"status": ("watch",), "__complete": (), "up": ("detach", "background")}
"""Commands that are called without argparse when only names and these switches follow.

``status`` is to be fast, and ``up`` to stay small: what it imports is kept in memory for good.
"""
