"""Figures that are measured several times."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(name: str, values: Sequence[float], places: int = 3) -> dict[str, float]:
    """Median, minimum and maximum, as ``name_median`` and so on."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {f"{name}_{which}": round(value, places) for which, value in figures.items()}
