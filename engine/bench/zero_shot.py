"""Choose's zero-shot scores against one forward of ``transformers`` for each choice: log-probabilities and speed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from data import choices
from data.choices import Item
from engine.bench import decoding, setups
from engine.bench.machine import of_pairs, timed
from engine.bench.rows import Row, judged, measured
from engine.bench.setup import Setup
from engine.choose.likelihood import Reader
from engine.choose.zero_shot import Judging
from engine.hub_data import fetch
from engine.lm import find
from engine.lm.model import LanguageModel
from engine.runs.messages import Control, finish

PAIRS = 5
FEW, MANY = 24, 192  # items on a CPU, on a GPU

Scores = list[list[list[float]]]
"""log-probabilities of the tokens of each choice of each item"""


def zero_shot(setup: Setup) -> Iterator[Row]:
    """The bundled questions, or ``setup.data``, with a random GPT-2 124M or ``setup.model``, in pairs.

    Ours computes what each choice is worth alone as well, and keeps nothing from one pair to the next; the other
    computes the choices after the question alone. On a GPU also in float32, in which log-probabilities are compared.
    """
    placement = setups.place(setup)
    asked = setup.data or choices.BUNDLED
    data = choices.load(asked, fetched=finish(fetch(asked, choices.BUNDLED, lambda: iter(()))))
    every = [*data.judged, *data.train, *data.held_out]
    items = every[: setup.of(4, FEW if placement.device.type == "cpu" else MANY)]
    precisions = dict.fromkeys((torch.float32, placement.dtype)) if not setup.model else {placement.dtype: None}
    for precision in precisions:
        with tempfile.TemporaryDirectory() as scratch:
            folder = decoding.model_folder(setup, setup.model or "GPT-2", Path(scratch), precision)
            ours = finish(find.load(folder, device=setup.device))
            dtype = next(ours.network.parameters()).dtype
            theirs = decoding.by_transformers(folder, dtype, ours.device)
        if exact := dtype == torch.float32:
            torch.set_float32_matmul_precision("highest")
        yield from _in_pairs(setup, ours, theirs, items, f"{len(items)} questions of {data.name}", exact)


def _in_pairs(
    setup: Setup, ours: LanguageModel, theirs: Any, items: Sequence[Item], asked: str, exact: bool
) -> Iterator[Row]:
    name = f"{setup.model or 'GPT-2'} of {ours.parameters / 1e6:.0f} M parameters"
    compared = f"zero-shot, {asked}, {name} in {ours.precision}, ours and one forward for each choice"
    few = items[: max(1, len(items) // 4)]  # with them kernels are chosen
    _together(ours, few)
    _one_by_one(ours, theirs, few)
    loops = (lambda: _together(ours, items)), (lambda: _one_by_one(ours, theirs, items))
    pairs = [(timed(ours.device, loops[0]), timed(ours.device, loops[1])) for _ in range(setup.of(1, PAIRS))]
    (found, *_), (wanted, *_) = pairs[-1]
    apart = max(
        abs(one - two)
        for row, rows in zip(found, wanted, strict=True)
        for ids, values in zip(row, rows, strict=True)
        for one, two in zip(ids, values, strict=True)
    )
    same = sum(_best(one) == _best(two) for one, two in zip(found, wanted, strict=True))
    yield judged(
        f"{compared}: log-probabilities and predictions",
        not exact or (apart <= 1e-4 and same == len(items)),
        "1e-4, all equal" if exact else "",
        "the difference is too large",
        largest_difference=apart,
        same_predictions=f"{same} of {len(items)}",
    )
    yield measured(compared, **of_pairs(pairs, "items", len(items)))


def _together(lm: LanguageModel, items: Sequence[Item]) -> Scores:
    """As a comparison does it, with its events."""
    judging = Judging(Reader(lm), items)
    for _ in judging.run(Control()):
        pass
    return [[[value for _, value in one.strip] for one in row] for row in judging.done]


def _one_by_one(lm: LanguageModel, model: Any, items: Sequence[Item]) -> Scores:
    reader, found = Reader(lm), []
    for item in items:
        question, row = reader.question(item), []
        for choice in question.choices:
            ids = torch.tensor([[*question.context, *choice]], device=model.device)
            with torch.inference_mode():
                places = model(input_ids=ids[:, :-1]).logits[0, -len(choice) :].float().log_softmax(-1)
                row.append(places.gather(1, ids[0, -len(choice) :, None])[:, 0].tolist())
        found.append(row)
    return found


def _best(row: list[list[float]]) -> int:
    sums = [sum(values) for values in row]
    return sums.index(max(sums))
