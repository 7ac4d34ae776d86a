"""The solver of logistic regression against the optimum that scikit-learn finds in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tiny
from scipy import sparse
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression as Theirs

from data import tables
from engine.classify import baselines
from engine.comparison import heads, logistic
from engine.comparison.logistic import LogisticRegression
from engine.runs.events import ContenderStep
from engine.runs.messages import Control, Stop, Stopped

PENALTIES = (1e-4, 1e-2, 1.0, 30.0)


def problem(rows: int, width: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
    """Standardised features of very unlike directions, and labels that they half decide, unevenly."""
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((rows, width)) @ (rng.standard_normal((width, width)) * np.logspace(0, -2, width))
    features = ((features - features.mean(0)) / features.std(0)).astype(np.float32)
    scores = features @ rng.standard_normal((width, classes)) * 0.5 + 2 * rng.standard_normal((rows, classes))
    return features, (scores + np.arange(classes)).argmax(1)


def solved_by_them(features: Any, labels: Any, penalty: float, *, weighted: bool) -> Any:
    weights = "balanced" if weighted else None
    solver = Theirs(C=penalty, class_weight=weights, tol=1e-10, max_iter=20_000)
    return solver.fit(features.astype(np.float64), labels)


def objective(features: Any, labels: Any, weight: Any, bias: Any, penalty: float, *, weighted: bool) -> float:
    """That of scikit-learn's documentation, in float64."""
    counts = np.bincount(labels)
    row_weights = len(labels) / (np.count_nonzero(counts) * counts[labels]) if weighted else np.ones(len(labels))
    found = log_softmax(np.asarray(features @ weight.astype(np.float64)) + bias, axis=1)
    loss = -(found[np.arange(len(labels)), labels] * row_weights).sum()
    return float(loss + (weight.astype(np.float64) ** 2).sum() / (2 * penalty))


def as_layer(solver: Any, classes: int) -> tuple[Any, Any]:
    weight, bias = np.zeros((solver.coef_.shape[1], classes)), np.full(classes, -1e4)
    both = len(solver.classes_) == 2
    weight[:, solver.classes_] = np.vstack([0 * solver.coef_, solver.coef_]).T if both else solver.coef_.T
    bias[solver.classes_] = np.append(0, solver.intercept_) if both else solver.intercept_
    return weight, bias


@pytest.mark.parametrize("small", [True, False], ids=["float64", "float32"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(300, 20, 3), (60, 150, 3), (300, 40, 2), (500, 80, 6)])
def test_objectives_equal_scikit_learns(
    shape: tuple[int, int, int], weighted: bool, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(logistic, "SMALL", 0)
    features, labels = problem(*shape)
    ours = LogisticRegression(features, labels.tolist(), class_weights=weighted)
    for penalty in PENALTIES:
        losses = list(ours.solve(penalty))
        weight, bias = ours.layer(shape[2])
        best = solved_by_them(features, labels, penalty, weighted=weighted)
        wanted = objective(features, labels, *as_layer(best, shape[2]), penalty, weighted=weighted)
        reached = objective(features, labels, weight, bias, penalty, weighted=weighted)
        assert abs(reached - wanted) < 1e-6 * wanted, penalty
        size = (weight.astype(np.float64) ** 2).sum() / (2 * penalty)
        assert losses[-1] * len(labels) == pytest.approx(reached - size, rel=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_sparse_objectives_equal_scikit_learns(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    _, labels = problem(400, 10, 3)
    features = sparse.random(400, 900, 0.03, format="csr", random_state=2)
    features[np.arange(400), labels] = rng.random(400)
    ours = LogisticRegression(features, labels.tolist(), class_weights=weighted)
    for penalty in (0.3, 10.0, 100.0):
        list(ours.solve(penalty))
        best = solved_by_them(features, labels, penalty, weighted=weighted)
        wanted = objective(features, labels, *as_layer(best, 3), penalty, weighted=weighted)
        assert abs(objective(features, labels, *ours.layer(3), penalty, weighted=weighted) - wanted) < 1e-6 * wanted


@pytest.mark.parametrize("given", [[0, 2, 3], [1, 3]])
def test_classes_without_rows_get_no_probability(given: list[int]) -> None:
    features, labels = problem(200, 12, len(given))
    labels = np.asarray(given)[labels]
    ours = LogisticRegression(features, labels.tolist())
    list(ours.solve(0.1))
    found = heads.Head(None, None, (ours.layer(5),), "").probabilities(features)
    exact = solved_by_them(features, labels, 0.1, weighted=False).predict_proba(features)
    assert np.abs(found[:, given] - exact).max() < 1e-4
    assert found.sum() == pytest.approx(200)
    assert not np.delete(found, given, 1).any()


def test_labels_of_the_bundled_questions_are_those_of_scikit_learn() -> None:
    data = tables.load(tables.BUNDLED)
    words = baselines.count_words(data.train.texts)
    rows, looked = words.features(data.train.texts), words.features(data.test.texts)
    ours = LogisticRegression(rows, data.train.labels)
    for penalty in baselines.GRID:
        list(ours.solve(penalty))
        found = heads.Head(None, None, (ours.layer(len(data.classes)),), "").probabilities(looked)
        best = solved_by_them(rows, np.asarray(data.train.labels), penalty, weighted=False)
        assert np.array_equal(found.argmax(1), best.predict(looked))


def test_a_stop_is_heard_before_the_first_value_of_c_is_solved() -> None:
    features, labels = problem(500, 80, 6)
    control, told = Control(), []

    control.send(Stop())
    with pytest.raises(Stopped):
        tiny.finish(heads.logistic("lr", (features, labels), (features, labels), control, classes=6), told.append)
    assert not [event for event in told if isinstance(event, ContenderStep) and event.held_out_loss is not None]
