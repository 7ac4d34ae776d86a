"""Which items every method of multiple choice is trained on, and by which its training ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import spying
import tiny

from data.choices import load
from engine.choose import contenders
from engine.choose.spec import FINETUNE, ChooseSpec
from engine.choose.task import choose
from engine.runs.messages import Control

WORDS = tiny.WORDS[7:]


def write(path: Path, split: str, count: int) -> None:
    """Items that differ between the splits in their first word."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        own = WORDS[number % len(WORDS)]
        other = WORDS[(number + 1) % len(WORDS)]
        rows.append({"question": f"{split} {number} {own}", "choices": [own, other][:: 1 - number % 2 * 2]})
        rows[-1]["answer"] = number % 2
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")


def test_every_method_is_trained_on_train_and_stopped_by_what_was_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "items"
    data.mkdir()
    for split, count in (("train", 33), ("validation", 12), ("test", 9)):
        write(data / f"{split}.jsonl", split, count)
    encoder = tiny.bert(tmp_path / "bert")
    fitted = spying.record(monkeypatch, contenders, "fit")
    tuned = spying.record(monkeypatch, contenders, "tune")
    methods = ("margin", "cross-entropy", FINETUNE)
    spec = ChooseSpec(data=str(data), encoder=str(encoder), methods=methods, seeds=2, epochs=1, device="cpu")
    list(choose(spec, Control()))
    items = load(spec.data, seed=spec.seed)
    expected = [item.gold for item in items.train], [item.gold for item in items.held_out]
    assert not {item.stem for item in (*items.train, *items.held_out)} & {item.stem for item in items.judged}
    assert len({len(items.train), len(items.held_out), len(items.judged)}) == 3
    assert len(fitted) == 2 * 3  # two losses; two seeds, and one without questions
    for _, train, held, *_ in fitted:
        assert (train.gold.tolist(), held.gold.tolist()) == expected
        assert (len(train.pair), len(held.pair)) == (len(items.train), len(items.held_out))
    ((train, held, *_),) = tuned
    assert (list(train), list(held)) == (list(items.train), list(items.held_out))
