"""The lab: all exercises in their order, read from ``exercises.toml``, and their steps and works by name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.lab import comparison_claims, text_claims
from engine.lab.exercise import Exercise, Step, Work

_CLAIMS = {**text_claims.CLAIMS, **comparison_claims.CLAIMS}


def _exercise(work: list[dict[str, Any]], step: list[dict[str, Any]], hub: str, **texts: str) -> Exercise:
    """``hub`` is that of the steps that have none of their own; an answer needs none."""
    steps = (
        Step(**{"hub": "" if one["kind"] == "answer" else hub} | one, claim=_CLAIMS.get(one["name"])) for one in step
    )
    return Exercise(**texts, works=tuple(Work(**one) for one in work), steps=tuple(steps))


_FILE = Path(__file__).with_suffix(".toml")
LAB: tuple[Exercise, ...] = tuple(_exercise(**one) for one in tomllib.loads(_FILE.read_text("utf-8"))["exercise"])
STEPS: Mapping[str, Step] = {step.name: step for exercise in LAB for step in exercise.steps}
WORKS: Mapping[str, Work] = {work.name: work for exercise in LAB for work in exercise.works}
