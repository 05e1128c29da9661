"""Kernel features that are to be treated as absent, so that every rung can be tested and forced."""

import os
from functools import cache

from pidward.kernel.errors import Unsupported

VARIABLE = "PIDWARD_FEATURES_MASK"


@cache
def taken_away() -> frozenset[str]:
    """The names in PIDWARD_FEATURES_MASK, a comma list; read once in the life of the process."""
    return frozenset(filter(None, (name.strip() for name in os.environ.get(VARIABLE, "").split(","))))


def need(feature: str, doing: str) -> None:
    """Raise Unsupported when a feature was taken away."""
    if feature in taken_away():
        raise Unsupported(doing, why=f"{feature} was taken away by {VARIABLE}")
