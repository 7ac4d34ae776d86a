"""Shallow models on features that stay as they are: logistic regression and an MLP, as arrays that need no pickle."""

from __future__ import annotations

import time
import warnings
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.comparison import statistics
from engine.comparison.head_training import FitSettings, fit_epochs
from engine.encoders.class_weights import balanced
from engine.machine import physical_cores
from engine.runs.events import ContenderStep, Event
from engine.runs.messages import Control, handle_messages

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Matrix: TypeAlias = Any  # dense float32 or sparse rows

GRID = (1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
SLICE = 20  # iterations of the solver between two looks at the mailbox
TOLERANCE = 1e-5  # of the mean gradient; the usual 1e-4 would not feel a change of a weak penalty
LONGEST = 15  # slices for one value of C at most
HIDDEN = 256
BATCH = 256
DROPOUT = 0.4
SMALL = 2e8  # multiplications of a batch below which one CPU thread does them


@dataclass(frozen=True)
class Head:
    """A trained head as arrays: standardisation, then one or two linear layers. No pickle anywhere.

    ``mean`` and ``scale`` ``(features,)``; each layer is a matrix ``(inputs, outputs)`` and a bias, with GELU between.
    """

    mean: NDArray[np.float32] | None
    scale: NDArray[np.float32] | None
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    settings: str
    validation_accuracy: float | None = None

    @property
    def parameters(self) -> int:
        return sum(int(weight.size + bias.size) for weight, bias in self.layers)

    def probabilities(self, features: Matrix) -> NDArray[np.float64]:
        """Of every class ``(rows, classes)``; features dense or sparse."""
        import numpy as np

        rows: Any = features if self.mean is None else (features - self.mean) / self.scale
        for number, (weight, bias) in enumerate(self.layers):
            rows = rows @ weight + bias
            if number + 1 < len(self.layers):
                rows = _gelu(rows)
        rows = np.asarray(rows, np.float64)
        rows = np.exp(rows - rows.max(1, keepdims=True))
        return np.asarray(rows / rows.sum(1, keepdims=True))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Everything numeric, by name, for safetensors."""
        held: dict[str, NDArray[np.float32]] = {}
        if self.mean is not None and self.scale is not None:
            held |= {"mean": self.mean, "scale": self.scale}
        for number, (weight, bias) in enumerate(self.layers):
            held |= {f"layer.{number}.weight": weight, f"layer.{number}.bias": bias}
        return held


def head_from(arrays: Mapping[str, Any], settings: str) -> Head:
    """The head that :meth:`Head.arrays` gave. Raises :class:`KeyError`."""
    count = sum(name.endswith(".weight") for name in arrays)
    layers = tuple((arrays[f"layer.{number}.weight"], arrays[f"layer.{number}.bias"]) for number in range(count))
    if not layers:
        raise KeyError("layer.0.weight")
    return Head(arrays.get("mean"), arrays.get("scale"), layers, settings)


def logistic(
    method: str,
    train: tuple[Matrix, Sequence[int]],
    validation: tuple[Matrix, Sequence[int]],
    control: Control,
    *,
    classes: int,
    class_weights: bool = False,
    standardise: bool = True,
    grid: Sequence[float] = GRID,
    told: bool = True,
) -> Generator[Event, None, Head]:
    """Multinomial logistic regression, its ``C`` chosen by the loss on validation, from strong to weak penalties.

    Runs scikit-learn's solver in slices, so that progress shows and stopping works. Yields :class:`ContenderStep` if
    ``told``. Raises :class:`engine.runs.messages.Stopped`.
    """
    import numpy as np

    rows, labels = train[0], np.asarray(train[1])
    mean = scale = None
    looked: Matrix = validation[0]
    if standardise:
        mean, scale = _standard(rows)
        rows, looked = (rows - mean) / scale, (looked - mean) / scale
    best: tuple[float, float, float, Any] | None = None
    worse, begun, step = 0, time.monotonic(), 0
    model: Any = None
    for number, penalty in enumerate(grid):
        model, step, loss = yield from _fit(
            method if told else "", rows, labels, penalty, model, class_weights, control, step
        )
        found = _probabilities(model, looked, classes)
        missed, right = statistics.log_loss(found, validation[1]), statistics.accuracy(found, validation[1])
        better = best is None or missed < best[0]
        if better:
            best = (missed, right, penalty, _weights(model, classes))
        worse = 0 if better else worse + 1
        if told:
            left = (time.monotonic() - begun) / (number + 1) * (len(grid) - number - 1)
            yield ContenderStep(method, step, 0, loss, missed, right, round(left, 1), f"C = {penalty:g}")
        if worse >= 2:
            break
    assert best is not None
    return Head(mean, scale, (best[3],), f"C = {best[2]:g}", best[1])


def fit_once(
    rows: Matrix, labels: Sequence[int], classes: int, penalty: float, control: Control, *, class_weights: bool = False
) -> Generator[Event, None, Head]:
    """Logistic regression with a given ``C`` on standardised features, without validation."""
    import numpy as np

    mean, scale = _standard(rows)
    scaled = (rows - mean) / scale
    model, _, _ = yield from _fit("", scaled, np.asarray(labels), penalty, None, class_weights, control, 0)
    return Head(mean, scale, (_weights(model, classes),), f"C = {penalty:g}")


def mlp(
    method: str,
    train: tuple[NDArray[np.float32], Sequence[int]],
    validation: tuple[NDArray[np.float32], Sequence[int]],
    control: Control,
    *,
    classes: int,
    class_weights: bool = False,
    seed: int = 1337,
    device: str = "cpu",
) -> Generator[Event, None, Head]:
    """One hidden layer with GELU and dropout on standardised features, all rows on the device; the best epoch is kept.

    Ends when validation stops improving. Yields a :class:`ContenderStep` an epoch. Raises :class:`Stopped`.
    """
    import numpy as np
    import torch

    from engine.gpt.sample import threads

    torch.manual_seed(seed)
    mean, scale = _standard(train[0])
    rows = torch.from_numpy((train[0] - mean) / scale).to(device)
    looked = torch.from_numpy((validation[0] - mean) / scale).to(device)
    labels = torch.tensor(np.asarray(train[1])).to(device)
    model = torch.nn.Sequential(
        torch.nn.Dropout(DROPOUT / 2),
        torch.nn.Linear(rows.shape[1], HIDDEN),
        torch.nn.GELU(),
        torch.nn.Dropout(DROPOUT),
        torch.nn.Linear(HIDDEN, classes),
    ).to(device)
    weights = balanced(train[1], classes).to(device) if class_weights else None
    criterion = torch.nn.CrossEntropyLoss(weights)

    def judge() -> tuple[float, float]:
        found = model(looked).cpu().double().softmax(1).numpy()  # not every device has float64
        return statistics.log_loss(found, validation[1]), statistics.accuracy(found, validation[1])

    # Sharing out products this small costs more than it brings, and most of all where others use the machine.
    count = 1 if min(BATCH, len(rows)) * rows.shape[1] * HIDDEN < SMALL else physical_cores()
    best = yield from fit_epochs(
        method,
        model,
        order=lambda: torch.randperm(len(rows)).to(device),
        loss=lambda some: criterion(model(rows[some]), labels[some]),
        judge=judge,
        control=control,
        settings=FitSettings(),
        threads=partial(threads, count),
    )
    layers = tuple(_linear(layer) for layer in model if isinstance(layer, torch.nn.Linear))
    return Head(mean, scale, layers, f"{HIDDEN} hidden units, epoch {best.epoch}", best.score)


def _fit(
    method: str, rows: Matrix, labels: Any, penalty: float, model: Any, class_weights: bool, control: Control, step: int
) -> Generator[Event, None, tuple[Any, int, float]]:
    """Solve for one ``C``, from where ``model`` is; returns the model, the slices so far and the training loss."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    if model is None:
        weights = "balanced" if class_weights else None
        model = LogisticRegression(max_iter=SLICE, warm_start=True, class_weight=weights, tol=TOLERANCE)
    model.C = penalty
    loss = float("nan")
    for _ in range(LONGEST):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a slice does not converge is what a slice is
            model.fit(rows, labels)
        step += 1
        converged = int(np.max(model.n_iter_)) < SLICE
        some = slice(0, 2000)
        found = _probabilities(model, rows[some], int(labels.max()) + 1)
        loss = statistics.log_loss(found, labels[some])
        if method:
            yield ContenderStep(method, step, 0, loss, None, None, None, f"C = {penalty:g}")
        yield from handle_messages(control, step)
        if converged:
            break
    return model, step, loss


def _probabilities(model: Any, rows: Matrix, classes: int) -> Any:
    """Of every class, those that the training rows lacked included, with nothing."""
    import numpy as np

    found = model.predict_proba(rows)
    if found.shape[1] == classes:
        return np.asarray(found, np.float64)
    result = np.zeros((found.shape[0], classes))
    result[:, model.classes_] = found
    return result


def _weights(model: Any, classes: int) -> tuple[Any, Any]:
    """Matrix ``(features, classes)`` and bias of a solved model; two classes get a row each, missing ones no chance."""
    import numpy as np

    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        # One sigmoid s is the softmax of (0, s).
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([[0.0], intercepts])
    weight = np.zeros((coefficients.shape[1], classes), np.float32)
    bias = np.full(classes, -1e4, np.float32)
    weight[:, model.classes_], bias[model.classes_] = coefficients.T, intercepts
    return weight, bias


def _standard(rows: Matrix) -> tuple[Any, Any]:
    """Mean and spread of every feature, through scikit-learn; a constant feature keeps its size."""
    import numpy as np
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(rows)
    return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)


def _linear(layer: Any) -> tuple[Any, Any]:
    return layer.weight.detach().T.cpu().contiguous().numpy(), layer.bias.detach().cpu().numpy().copy()


def _gelu(rows: Any) -> Any:
    import numpy as np
    from scipy.special import erf

    return rows * 0.5 * (1.0 + erf(rows / np.float32(2**0.5)))
