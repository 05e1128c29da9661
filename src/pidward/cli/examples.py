"""What a newcomer would try of each command; shown by its help and in the man page."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    # command: (what to type, what that does)
    "up": (
        ("pidward up", "run all here, with their output; ^C stops them in order"),
        ("pidward up --detach", "run them in the background; look with `pidward status`"),
        ("pidward up web db", "start only these; `pidward start` starts others later"),
    ),
    "down": (
        ("pidward down", "stop everything in order"),
        ("pidward down --now", "the same, without waiting for grace"),
    ),
    "status": (
        ("pidward status", "all workers; exit status 3 when something is not as wanted"),
        ("pidward status web/2", "one worker of the service web"),
        ("pidward status --watch", "again whenever something happens"),
    ),
    "health": (("pidward health --ready", "exit status 0 when all may serve: for a container's health check"),),
    "start": (("pidward start web", "all workers of web"), ("pidward start web/2", "one of them")),
    "stop": (("pidward stop web", "until somebody starts it, also after a restart of pidward"),),
    "restart": (
        ("pidward restart web", "all its workers at once"),
        ("pidward restart --rolling web", "one after the other, each ready before the next is touched"),
    ),
    "scale": (("pidward scale web=4", "have four workers of web"),),
    "run": (
        ("pidward run -- ./server --port 80", "run it here, and end with its exit status"),
        ("pidward run --restart on-failure --limits.nofile 4096 -- ./server", "every key of a service is an option"),
    ),
    "wait": (
        ("pidward wait web --timeout 30s", "until all its workers are ready"),
        ("pidward wait --exit migrate", "until it has ended; with its exit status"),
    ),
    "plan": (("pidward plan", "which services `pidward reload` would add, restart, change or remove"),),
    "reload": (
        ("pidward reload", "after pidward.toml was edited"),
        ("pidward reload nginx", "have nginx itself read its own configuration again"),
    ),
    "signal": (
        ("pidward signal HUP web", "to the main process of each worker of web"),
        ("pidward signal TERM 26358:318171", "to this very process, as `status` and `tree` show it, or to nobody"),
    ),
    "kill": (("pidward kill web/2", "its main process"), ("pidward kill --tree web/2", "with everything it started")),
    "logs": (
        ("pidward logs -f web", "what web writes, as it writes"),
        ("pidward logs --since 10min --grep error", "lines of all services with a word in them"),
    ),
    "top": (("pidward top", "live, by keys; q ends"), ("pidward top --sort cpu --once", "one table, busiest first")),
    "tree": (("pidward tree web/2", "its processes, daemons that got away included"),),
    "events": (
        ("pidward events web", "its starts, exits and their reasons"),
        ("pidward events -f", "everything, as it happens"),
    ),
    "check": (("pidward check", "is pidward.toml right?"), ("pidward check --strict site.toml", "and here, too?")),
    "schema": (("pidward schema > pidward.schema.json", "for completion and checks in an editor"),),
    "doctor": (("pidward doctor", "what works here, and what is done without"),),
    "completion": (("pidward completion bash", "for bash; put it where the shell looks: `pidward help completion`"),),
    "demo": (("pidward demo", "all scenes"), ("pidward demo --list", "which there are")),
    "version": (("pidward version", "of pidward, and of the Python it runs on"),),
}


def shown(name: str) -> str:
    """The examples of a command as lines; empty when there are none."""
    examples = EXAMPLES.get(name, ())
    width = max((len(typed) for typed, _ in examples), default=0)
    if width > 44:  # too wide for two columns
        return "".join(f"  {typed}\n      {meaning}\n" for typed, meaning in examples)
    return "".join(f"  {typed:{width}}  {meaning}\n" for typed, meaning in examples)
