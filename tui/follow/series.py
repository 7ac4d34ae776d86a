"""A curve of any length in a bounded amount of memory."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

from engine.runs.events import Step
from engine.runs.past import Steps

CAPACITY = 2048  # buckets kept; two neighbours become one when they are full
LARGEST = 1e30  # of the losses that are drawn; sums and squares of larger ones are no numbers any more


@dataclass
class Bucket:
    """Consecutive steps: bounds and mean of the loss, and the other values of the last of them."""

    first: int
    last: Step
    low: float
    high: float
    total: float
    count: int

    @property
    def mean(self) -> float:
        return self.total / self.count


class Series:
    """Steps in buckets of equal size, which doubles whenever ``CAPACITY`` buckets are full."""

    def __init__(self) -> None:
        self.buckets: list[Bucket] = []
        self._span = 1

    def __len__(self) -> int:
        return len(self.buckets)

    def add(self, step: Step) -> None:
        """Add a step; steps come in order."""
        if not math.isfinite(step.loss):
            return
        loss = clipped(step.loss)
        last = self.buckets[-1] if self.buckets else None
        if last is not None and last.count < self._span:
            last.last, last.low, last.high = step, min(last.low, loss), max(last.high, loss)
            last.total += loss
            last.count += 1
            return
        if len(self.buckets) == CAPACITY:
            self._halve()
        self.buckets.append(Bucket(step.step, step, loss, loss, loss, 1))

    def add_all(self, steps: Steps) -> None:
        """As :meth:`add` for each of them."""
        losses = list(map(clipped, steps.losses))
        at, end = 0, len(losses)
        while at < end:
            last = self.buckets[-1] if self.buckets else None
            if last is None or last.count >= self._span:
                self.add(steps.at(at))
                at += 1
            elif piece := losses[at : at + self._span - last.count]:
                at += len(piece)
                last.last = steps.at(at - 1)
                last.low, last.high = min(last.low, *piece), max(last.high, *piece)
                last.total += math.fsum(piece)
                last.count += len(piece)

    def forget_after(self, step: int) -> None:
        """Forget what lies after ``step``: the run went on from there again.

        A bucket that holds steps on both sides goes as a whole, since what it took from the later ones cannot be
        taken out of it again; it is one of a thousand or more.
        """
        while self.buckets and self.buckets[-1].last.step > step:
            self.buckets.pop()

    def at(self, step: int) -> Bucket | None:
        """The bucket that ``step`` falls into, the nearest one before it otherwise."""
        place = bisect_right(self.buckets, step, key=lambda bucket: bucket.first)
        return self.buckets[max(0, place - 1)] if self.buckets else None

    def _halve(self) -> None:
        pairs = zip(self.buckets[::2], self.buckets[1::2], strict=True)
        self.buckets = [
            Bucket(a.first, b.last, min(a.low, b.low), max(a.high, b.high), a.total + b.total, a.count + b.count)
            for a, b in pairs
        ]
        self._span *= 2


def clipped(loss: float) -> float:
    """A loss within the limits of what can be drawn."""
    return max(-LARGEST, min(LARGEST, loss))
