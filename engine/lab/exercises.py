"""The lab: all exercises in their order, and their steps and works by name."""

from __future__ import annotations

from collections.abc import Mapping

from engine.lab.comparison_exercises import CLASSIFIER, DOCUMENTS, QUESTIONS
from engine.lab.exercise import Exercise, Step, Work
from engine.lab.text_exercises import GENERATION, TOKENS, WARMING_UP

LAB: tuple[Exercise, ...] = (WARMING_UP, TOKENS, GENERATION, CLASSIFIER, QUESTIONS, DOCUMENTS)
STEPS: Mapping[str, Step] = {step.name: step for exercise in LAB for step in exercise.steps}
WORKS: Mapping[str, Work] = {work.name: work for exercise in LAB for work in exercise.works}
