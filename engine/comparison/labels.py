"""What the cached features still tell: which labels look wrong, and how many labels it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.comparison.heads import Head, fit_once, logistic
from engine.runs.events import ContenderStep, CurvePoint, Event, Progress
from engine.runs.messages import Control, handle_messages, passed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Learnt: TypeAlias = tuple[NDArray[np.float32], Sequence[int]]
    """features ``(rows, width)`` and class indices"""
    Fit: TypeAlias = Callable[[Learnt, Learnt, Control], Generator[Event, None, Head]]

FOLDS = 5
SHOWN = 200  # suspects that are kept
DRAWS = 3
FIRST = 8  # labels of each class
LAST = 1024


@dataclass(frozen=True)
class Suspect:
    """A training row whose label the rest of the data contradicts."""

    row: int
    """index in train"""
    label: int
    suggested: int
    probability: float
    """of the label that it has, by a model that has not seen it"""
    suggested_probability: float
    file: str = ""
    """where the row was read; empty in runs of earlier versions"""
    line: int = 0
    """number of the row in that file, from 1"""

    @property
    def place(self) -> tuple[str, int]:
        """File and row; where they are not known, the split and the row in it, from 1."""
        return (self.file, self.line) if self.line else ("train", self.row + 1)


def suspects(
    features: NDArray[np.float32],
    labels: Sequence[int],
    classes: int,
    control: Control,
    *,
    seed: int = 1337,
) -> Generator[Event, None, tuple[Suspect, ...]]:
    """Rows whose label is probably wrong, the most probable first: confident learning (Northcutt, Jiang, Chuang 2021).

    The probabilities come from stratified folds of logistic regression on ``features`` ``(rows, width)``, whose ``C``
    is chosen on the first fold. The rows that :func:`off_diagonal` picks are ranked by their normalized margin. A class
    with one row is left out: there is no other row to learn it from. Yields ``Progress``. Raises :class:`Stopped`.
    """
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    every = np.asarray(labels)
    counts = np.bincount(every, minlength=classes)
    rows = np.flatnonzero(counts[every] > 1)
    gold = every[rows]
    if len(set(gold.tolist())) < 2:
        return ()
    found = np.zeros((len(rows), classes))
    folds = min(FOLDS, int(counts.max()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer rows than folds is in some of the folds only
        splits = list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(gold, gold))
    penalty: float | None = None
    for done, (kept, held) in enumerate(splits):
        yield Progress("looking for suspicious labels", done, folds)
        train = features[rows[kept]], gold[kept].tolist()
        if penalty is None:
            looked = features[rows[held]], gold[held].tolist()
            head = yield from logistic("", train, looked, control, classes=classes, told=False)
            penalty = head.penalty
        else:
            head = yield from fit_once(*train, classes, penalty, control)
        found[held] = head.probabilities(features[rows[held]])
    yield Progress("looking for suspicious labels", folds, folds)
    own = found[np.arange(len(gold)), gold]
    others = found.copy()
    others[np.arange(len(gold)), gold] = -1
    suggested = others.argmax(1)
    wrong = off_diagonal(found, gold)
    order = wrong[np.argsort((own - others.max(1))[wrong], kind="stable")][:SHOWN]
    return tuple(
        Suspect(int(rows[one]), int(gold[one]), int(suggested[one]), float(own[one]), float(others[one].max()))
        for one in order
    )


def confident_joint(found: NDArray[np.float64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Estimated counts of given against true labels ``(classes, classes)``; a row sums to the rows with that label.

    ``found`` ``(rows, classes)`` are out-of-fold probabilities, ``gold`` ``(rows,)`` the given labels. The threshold of
    a class is its mean probability in the rows with its label. Of the classes that reach their threshold in a row, the
    row counts for the most probable; a row without any does not count.
    """
    import numpy as np

    classes = found.shape[1]
    rows = np.bincount(gold, minlength=classes)
    own = found[np.arange(len(gold)), gold]
    thresholds = np.full(classes, np.inf)
    thresholds[rows > 0] = np.bincount(gold, own, minlength=classes)[rows > 0] / rows[rows > 0]
    confident = np.where(found >= thresholds, found, -1)
    counts = np.zeros((classes, classes))
    some = confident.max(1) >= 0
    np.add.at(counts, (gold[some], confident[some].argmax(1)), 1)
    return np.asarray(counts * (rows / np.maximum(counts.sum(1), 1))[:, None])


def off_diagonal(found: NDArray[np.float64], gold: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows that the confident joint counts off its diagonal, ascending.

    As many as the joint says of each given and true label, those with the largest difference of the two probabilities
    ("prune by noise rate"). So a row is not lost because a strongly regularized model reaches no threshold in it.
    """
    import numpy as np

    joint = confident_joint(found, gold)
    picked: set[int] = set()
    for given, true in zip(*np.nonzero(joint), strict=True):
        if given != true:
            rows = np.flatnonzero(gold == given)
            order = np.argsort(found[rows, given] - found[rows, true], kind="stable")
            picked.update(rows[order[: round(joint[given, true])]].tolist())
    return np.array(sorted(picked), np.int64)


def efficiency(
    train: Learnt,
    validation: Learnt,
    test_features: NDArray[np.float32],
    accuracy: Callable[[NDArray[np.float64]], float],
    fits: Mapping[str, Fit],
    control: Control,
    *,
    classes: int,
    seed: int = 1337,
) -> Iterator[Event]:
    """Test accuracy of every method on 8, 16, 32, … labels of each class, as far as every class has them.

    Several draws each. A method of ``fits`` is given the drawn rows and validation, on which it chooses its settings
    anew for every draw; ``accuracy`` judges its probabilities of the test rows. Where a class has fewer than 8 there is
    one point, of the largest power of two that it has. Yields :class:`CurvePoint`. Raises :class:`Stopped`.
    """
    import numpy as np

    features, gold = train[0], np.asarray(train[1])
    rows = np.bincount(gold, minlength=classes)
    count = FIRST
    while count > rows.min() > 0:
        count //= 2
    while count <= min(int(rows.min()), LAST):
        scores: dict[str, list[float]] = {method: [] for method in fits}
        for draw in range(DRAWS if count < rows.max() else 1):
            rng = np.random.default_rng([seed, count, draw])
            each = [rng.permutation(np.flatnonzero(gold == label))[:count] for label in range(classes)]
            picked = np.concatenate(each)
            for method, fit in fits.items():
                work = fit((features[picked], gold[picked].tolist()), validation, control)
                # Without the steps that it tells: those of the curve are not those of the method.
                head = yield from passed(work, lambda event: () if isinstance(event, ContenderStep) else (event,))
                scores[method].append(accuracy(head.probabilities(test_features)))
        for method, own in scores.items():
            yield CurvePoint(method, count, count * classes, sum(own) / len(own), min(own), max(own), len(own))
        yield from handle_messages(control, count)
        count *= 2
