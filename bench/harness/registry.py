"""The adapters that exist."""

import importlib
import pkgutil

import bench.peers
from bench.harness.peer import Peer


def load_peers() -> dict[str, type[Peer]]:
    """All named adapters in bench/peers, by name."""
    found: dict[str, type[Peer]] = {}
    for info in pkgutil.iter_modules(bench.peers.__path__):
        module = importlib.import_module(f"bench.peers.{info.name}")
        for value in vars(module).values():
            is_adapter = isinstance(value, type) and issubclass(value, Peer) and value.__module__ == module.__name__
            if is_adapter and value.name:
                found[value.name] = value
    return dict(sorted(found.items()))
