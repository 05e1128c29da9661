"""``python -m bench list | EXPERIMENT [options]``: run from the root of the project, as root."""

import argparse
import importlib
import sys

from bench.harness import machine
from bench.harness.registry import load_peers
from bench.harness.results import Results

EXPERIMENTS = ("smoke", "combo", "e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9")


def list_peers() -> None:
    """Print every adapter with what limits it."""
    for name, peer in load_peers().items():
        print(f"{name:24} up to {peer.max_workers:5} workers; restart floor: {peer.floor}")


def main() -> None:
    """Read the command line and run one experiment."""
    if sys.argv[1:] == ["list"]:
        list_peers()
        return
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in EXPERIMENTS:
        sys.exit(f"usage: python -m bench list | {' | '.join(EXPERIMENTS)} [--help]")
    experiment = importlib.import_module(f"bench.experiments.{name}")
    known = load_peers()
    parser = argparse.ArgumentParser(f"bench {name}", description=(experiment.__doc__ or "").split("\n")[0])
    parser.add_argument("--peers", default=",".join(experiment.DEFAULT), help="names, separated by commas")
    parser.add_argument("--scheduler", default="none", choices=machine.SCHEDULERS)
    experiment.add_options(parser)
    options = parser.parse_args(sys.argv[2:])
    chosen = options.peers.split(",")
    unknown = [peer for peer in chosen if peer not in known]
    if unknown:
        sys.exit(f"no adapter for {', '.join(unknown)}; there are {', '.join(known)}")
    machine.prepare(options.scheduler)
    experiment.run([known[peer] for peer in chosen], options, Results(name, options.scheduler))


if __name__ == "__main__":
    main()
