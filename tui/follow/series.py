"""A curve of any length in a bounded amount of memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.runs.events import Step

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

    def forget_after(self, step: int) -> None:
        """Forget what lies after ``step``: the run went on from there again.

        A bucket that holds steps on both sides goes as a whole, since what it took from the later ones cannot be
        taken out of it again; it is one of a thousand or more.
        """
        while self.buckets and self.buckets[-1].last.step > step:
            self.buckets.pop()

    def at(self, step: int) -> Bucket | None:
        """The bucket that ``step`` falls into, the nearest one before it otherwise."""
        low, high = 0, len(self.buckets)
        while low < high:
            middle = (low + high) // 2
            if self.buckets[middle].first <= step:
                low = middle + 1
            else:
                high = middle
        return self.buckets[low - 1] if low else (self.buckets[0] if self.buckets else None)

    def extremes(self) -> list[tuple[int, float]]:
        """``(step, loss)``: every step while they are few, later the lowest and the highest of each bucket."""
        points = []
        for bucket in self.buckets:
            points.append((bucket.first, bucket.low))
            if bucket.count > 1:
                points.append((bucket.last.step, bucket.high))
        return points

    def smooth(self, amount: float) -> list[tuple[int, float]]:
        """``(step, loss)`` by exponential moving average; ``amount`` 0 is the plain mean of each bucket.

        Corrected for its start as in Adam (Kingma and Ba 2015), so the curve does not begin at 0.
        """
        result, average, weight = [], 0.0, 0.0
        for bucket in self.buckets:
            average = amount * average + (1 - amount) * bucket.mean
            weight = amount * weight + (1 - amount)
            result.append((bucket.last.step, average / weight))
        return result

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


def decimate(points: list[tuple[int, float]], columns: int, end: int = 0) -> list[tuple[int, float]]:
    """At most ``2 * columns`` points: the lowest and the highest of each column, in order, so no spike is lost.

    Columns are equal stretches from step 0 to ``end`` (the last point's step if that is later), so points that come
    later leave those before them where they are.
    """
    if len(points) <= 2 * columns or columns < 1:
        return points
    stretch = (max(end, points[-1][0]) + 1) / columns
    result: list[tuple[int, float]] = []
    low = high = points[0]
    column = int(low[0] / stretch)
    for point in points:
        if (here := int(point[0] / stretch)) != column:
            result.extend(sorted({low, high}))
            low = high = point
            column = here
        elif point[1] < low[1]:
            low = point
        elif point[1] > high[1]:
            high = point
    result.extend(sorted({low, high}))
    return result
