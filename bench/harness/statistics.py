"""Summaries of samples."""

from collections.abc import Sequence


def quantile(samples: Sequence[float], part: float) -> float:
    """The sample below which ``part`` of all lie, interpolated; ``nan`` for none."""
    if not samples:
        return float("nan")
    ordered = sorted(samples)
    place = (len(ordered) - 1) * part
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def summary_ms(samples_ns: Sequence[int]) -> dict[str, object]:
    """What a row says about latencies; the samples themselves too, so that rows can be put together later."""
    if not samples_ns:
        return {"samples_us": []}
    samples = [sample / 1e6 for sample in samples_ns]
    return {
        "kills": len(samples),
        "min_ms": min(samples),
        "p50_ms": quantile(samples, 0.50),
        "p95_ms": quantile(samples, 0.95),
        "p99_ms": quantile(samples, 0.99),
        "max_ms": max(samples),
        "samples_us": [sample // 1000 for sample in samples_ns],
    }
