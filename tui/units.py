"""Numbers as people read them: aligned, short, with units."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.runs.events import Progress
    from engine.runs.listing import Summary


def count(value: float) -> str:
    """10,794,312 as ``10.8 M``; three significant digits."""
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            scale = 1e3 if unit == "k" else limit
            return f"{value / scale:.3g} {unit}"
    return f"{value:,.0f}"


def size(bytes_: float | None) -> str:
    """Bytes in binary units; ``?`` when unknown."""
    if bytes_ is None:
        return "?"
    for unit, least in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if bytes_ >= least:
            return f"{bytes_ / least:.1f} {unit}"
    return f"{bytes_:.0f} B"


def progress(event: Progress) -> str:
    """How far a part of the work is, after a space: a share, or bytes with speed and time left; empty if unknown."""
    speed = event.bytes_per_second
    if speed is None:
        return f" {event.done / event.total:.0%}" if event.total else ""
    parts = [f" {size(event.done)}" + (f" of {size(event.total)}" if event.total else ""), f"{size(speed)}/s"]
    if event.total and speed:
        parts.append(f"{duration((event.total - event.done) / speed)} left")
    return ", ".join(parts)


def duration(seconds: float | None) -> str:
    """``1 h 02 min``, ``3 min 20 s``, ``12 s``; ``?`` when unknown."""
    if seconds is None or not math.isfinite(seconds):
        return "?"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def loss(value: float | None) -> str:
    """Four decimals, or as many digits with an exponent where it is very large; or a dash."""
    return "–" if value is None else f"{value:.4f}" if abs(value) < 1e5 else f"{value:.3e}"


def best(summary: Summary) -> str:
    """The best figure of a run: nDCG, accuracy, or validation loss; ``*`` marks one of some of the items only."""
    if summary.ndcg is not None:
        return f"{summary.ndcg:.3f}"
    if summary.accuracy is None:
        return loss(summary.best_val_loss)
    return f"{summary.accuracy:.1%}" + "*" * bool(summary.partial)


def rate(value: float) -> str:
    """A learning rate: ``3e-4``, ``9.5e-4``."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"
