"""What the cached features still tell: which labels look wrong, and how many labels it takes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.comparison.heads import fit_once
from engine.runs.events import CurvePoint, Event, Progress
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 5
SHOWN = 200  # suspects that are kept
DRAWS = 3
FIRST = 8  # labels of each class
LAST = 1024


@dataclass(frozen=True)
class Suspect:
    """A training row whose label the rest of the data contradicts."""

    row: int
    label: int
    suggested: int
    probability: float
    """of the label that it carries, by a model that has not seen it"""
    suggested_probability: float


def suspects(
    features: NDArray[np.float32],
    labels: Sequence[int],
    classes: int,
    control: Control,
    *,
    penalty: float = 0.01,
    seed: int = 1337,
) -> Generator[Event, None, tuple[Suspect, ...]]:
    """Rows by how little probability their own label gets out of fold (as in confident learning, Northcutt 2021).

    Five folds of logistic regression on ``features``. Yields ``Progress``. Raises :class:`Stopped`.
    """
    import numpy as np
    from sklearn.model_selection import KFold

    gold = np.asarray(labels)
    found = np.zeros((len(gold), classes))
    folds = min(FOLDS, len(gold))
    for done, (kept, held) in enumerate(KFold(folds, shuffle=True, random_state=seed).split(features)):
        yield Progress("looking for suspicious labels", done, folds)
        if len(set(gold[kept].tolist())) < 2:
            continue
        head = yield from fit_once(features[kept], gold[kept].tolist(), classes, penalty, control)
        found[held] = head.probabilities(features[held])
    yield Progress("looking for suspicious labels", folds, folds)
    own = found[np.arange(len(gold)), gold]
    wrong = np.flatnonzero((found.argmax(1) != gold) & (found.max(1) > 0))
    # The margin, not the probability alone: a row that nothing fits is odd, not wrongly labelled.
    order = wrong[np.argsort(own[wrong] - found.max(1)[wrong], kind="stable")][:SHOWN]
    return tuple(
        Suspect(int(row), int(gold[row]), int(found[row].argmax()), float(own[row]), float(found[row].max()))
        for row in order
    )


def efficiency(
    features: NDArray[np.float32],
    labels: Sequence[int],
    test_features: NDArray[np.float32],
    accuracy: Callable[[NDArray[np.float64]], float],
    classes: int,
    control: Control,
    *,
    penalty: float = 0.01,
    seed: int = 1337,
) -> Iterator[Event]:
    """Test accuracy of logistic regression on 8, 16, 32, … labels of each class, several draws each.

    ``accuracy`` judges the probabilities of the test rows. A class with fewer rows gives all it has; ends when no class
    has more to give. Yields :class:`CurvePoint`.
    """
    import numpy as np

    gold = np.asarray(labels)
    largest = int(np.bincount(gold, minlength=classes).max())
    count = FIRST
    while count // 2 < largest and count <= LAST:
        scores, rows = [], 0
        for draw in range(DRAWS if count < largest else 1):
            rng = np.random.default_rng([seed, count, draw])
            picked = np.concatenate(
                [rng.permutation(np.flatnonzero(gold == label))[:count] for label in range(classes)]
            )
            rows = len(picked)
            head = yield from fit_once(features[picked], gold[picked].tolist(), classes, penalty, control)
            scores.append(accuracy(head.probabilities(test_features)))
        mean = sum(scores) / len(scores)
        yield CurvePoint("lr", count, rows, mean, min(scores), max(scores), len(scores))
        yield from handle_messages(control, count)
        count *= 2
