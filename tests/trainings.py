"""Trainings of every kind on a few made-up rows: whole encoders by name in ``TRAININGS``, heads in ``HEADS``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from retrieving import collection

from data.beir import load
from data.choices import Item
from engine.choose import fine_tune as choosing
from engine.choose import scorer
from engine.comparison import heads
from engine.encoders import epochs
from engine.encoders import find as encoders
from engine.encoders.fine_tune import Classifying, TuneSettings
from engine.retrieve import bi_encoder
from engine.retrieve.training_data import BiSettings, TrainingInputs
from engine.runs.messages import Control


def items(count: int) -> list[Item]:
    return [Item("the card", ("my bill", "is late", "a driver")[: 2 + row % 2], row % 2) for row in range(count)]


def classifying(encoder: encoders.Encoder, count: int, rows: int) -> epochs.Training:
    texts, labels = tiny.texts(count)
    settings = TuneSettings(epochs=1, rows=rows, length=16, class_weights=True)
    held = texts[:20], labels[:20]
    return Classifying((texts, labels), held, encoder, settings, Control(), "cpu", classes=["a", "b", "c"])


def ranking(encoder: encoders.Encoder, count: int, rows: int) -> epochs.Training:
    all_items, settings = items(count), choosing.TuneRankSettings(epochs=1, rows=rows, length=16)
    gold = [item.gold for item in all_items]
    return choosing.Ranking((all_items, gold), (all_items[:9], gold[:9]), encoder, settings, Control(), "cpu")


def searching(mode: Any) -> Callable[[encoders.Encoder, int, int], epochs.Training]:
    def made(encoder: encoders.Encoder, count: int, rows: int) -> epochs.Training:
        small = load(str(collection(Path(encoder.source).parent / f"small-{count}", train=count, documents=2 * count)))
        rng = np.random.default_rng(1)
        frozen = rng.normal(size=(len(small.documents), encoder.width)).astype(np.float32)
        asked = {name: rng.normal(size=encoder.width).astype(np.float32) for name in small.queries}
        settings = replace(BiSettings(mode=mode, epochs=1, hard_negatives=1).chosen(), rows=rows)
        inputs = TrainingInputs(small, encoder, frozen, asked, settings, "cpu")
        parts = bi_encoder.split(small, 5, 1)
        return bi_encoder._BiTraining(inputs, parts, Control(), lambda _: None)

    return made


TRAININGS = {
    "classify": classifying, "choose": ranking, "projection": searching("projection"), "whole": searching("whole"),
}  # fmt: skip


def mlp(count: int, device: str = "cpu") -> Iterator[Any]:
    rows = np.random.default_rng(0).normal(size=(count, 6)).astype(np.float32)
    labels = (rows[:, 0] > 0).astype(int).tolist()
    return heads.mlp(
        "mlp", (rows, labels), (rows[:50], labels[:50]), Control(), classes=2, class_weights=True, device=device
    )


def ranker(loss: Any) -> Callable[..., Iterator[Any]]:
    def made(count: int, device: str = "cpu") -> Iterator[Any]:
        rng = np.random.default_rng(0)
        many = [items(count), *(rng.normal(size=(size, 6)).astype(np.float32) for size in (count, 0, 0))]
        choices = sum(len(item.choices) for item in many[0])
        pairs = scorer.arranged(many[0], many[1], *rng.normal(size=(2, choices, 6)).astype(np.float32))
        return scorer.fit("margin", pairs, pairs, scorer.RankSettings(epochs=3, loss=loss), Control(), device=device)

    return made


HEADS = {"mlp": mlp, "margin": ranker("margin"), "cross-entropy": ranker("cross-entropy")}
