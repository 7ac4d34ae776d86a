"""The same method trained with several seeds: the mean over them, and how far single ones lie apart."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from engine.comparison import statistics
from engine.comparison.contender import Fitted, Inputs, Seeded
from engine.runs.events import ContenderStep, Event, Progress
from engine.runs.messages import Control, passed

if TYPE_CHECKING:
    from engine.comparison.statistics import Values


def mean_of(right: Sequence[Values]) -> Values:
    """The share of seeds that have each item right ``(items,)``, from 1 or 0 by each seed; NaN where one has NaN."""
    import numpy as np

    return np.asarray(np.mean(right, axis=0))


def by_seed(right: Sequence[Values]) -> tuple[list[float], float | None]:
    """The accuracy of each seed, and their standard deviation; None of a single one."""
    import numpy as np

    accuracies = [float(statistics.scored(one).mean()) for one in right]
    return accuracies, float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None


def further(
    contender: Seeded,
    fit: Callable[[Seeded], Generator[Event, None, Fitted]],
    inputs: Inputs,
    control: Control,
    count: int,
) -> Generator[Event, None, list[Any]]:
    """What a method gives for ``inputs`` when it is trained with the next seeds, ``count`` with its own.

    Steps are told as :class:`Progress`: those of the method itself are of its own seed.
    """
    found = []
    for number in range(1, count):
        what = f"{contender.name}: seed {number + 1} of {count}"

        def told(event: Event, what: str = what) -> tuple[Event]:
            return (Progress(what, event.step, event.steps) if isinstance(event, ContenderStep) else event,)

        fitted = yield from passed(fit(contender.reseeded(number)), told)
        found.append((yield from fitted.outputs(inputs, control)))
    return found
