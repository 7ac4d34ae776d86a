"""Schemas of multiple-choice data: a table of what the columns of the field's data sets are called.

Names are in lower case, without spaces, hyphens and underscores. ``|`` stands between names of which the first one with
a value is taken, and ``#`` for a number or a letter: ``option#`` is all of ``option1``, ``option2`` …
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

QUESTIONS = (
    "question|questionstem|questioncontent|questiontext|stem|query|prompt|problem|qtext|goal|input|inputs|instruction|"
    "startphrase"
)
CONTEXTS = "context|passage|article|premise|dialogue|support|fact1|paragraph|background|story"
ANSWERS = (
    "answerkey|answer|label|gold|goldlabel|correct|correctanswer|correctoption|correctanswerid|correctindex|"
    "answerindex|answeridx|answerid|answerrightending|cop|target|ra|labels|multiplechoicescores"
)
LISTS = (
    "choices|endings|options|answers|choice|candidates|candidateanswers|answerchoices|answeroptions|"
    "multiplechoicetargets"
)
NUMBERED = ("choice#", "ending#", "option#", "answer#", "solution#", "sol#", "op#", "hypothesis#", "candidate#", "#")


class Parts(NamedTuple):
    """One question as its row tells it."""

    context: str
    question: str
    choices: tuple[str, ...]
    labels: tuple[str, ...]
    """by which the answer may call the choices; empty where they have none"""
    answer: Any
    """as it lies in the row; None where there is none"""
    continued: bool
    """whether the choices go on with the question's own sentence"""


@dataclass(frozen=True)
class Schema:
    """Where a data set of the field keeps what."""

    name: str
    needs: tuple[str, ...] = ()
    """columns that tell it from others"""
    context: str = CONTEXTS
    question: str = QUESTIONS
    choices: str = "|".join((LISTS, *NUMBERED))
    published: str = ""
    """how its answers point at the choices (:data:`data.answer_keys.KINDS`), where the rows alone do not tell"""
    continued: bool = False
    shaped: Callable[[Parts], Parts] | None = None
    """what is to be done with the parts"""


def clean(value: Any) -> str:
    """A choice in one line."""
    if isinstance(value, str):
        return " ".join(value.split())
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


# -- shapes of single schemas ----------------------------------------------------------------------------------------


def _copa(parts: Parts) -> Parts:
    """The premise goes on with because or so."""
    asked = parts.question.casefold()
    joined = "because" if "cause" in asked else "so" if "effect" in asked else ""
    if not joined:
        raise ValueError("whose question is neither cause nor effect")
    return parts._replace(context=parts.context.rstrip(" ."), question=joined)


def _winogrande(parts: Parts) -> Parts:
    """The sentence up to its blank, and each option with what follows the blank."""
    before, blank, after = parts.question.partition("_")
    if not blank:
        raise ValueError("whose sentence has no blank (_)")
    after = after.lstrip("_")
    filled = tuple(f"{choice}{after}".strip() if choice else "" for choice in parts.choices)
    return parts._replace(question=before.rstrip(), choices=filled, labels=parts.choices)


def _activity(parts: Parts) -> Parts:
    """The activity stands before the context, as in lm-evaluation-harness."""
    return parts._replace(context=f"{parts.context}:") if parts.context else parts


def drawn(parts: Parts) -> Parts:
    """The correct answer among the distractors, at a place that its question draws."""
    if not parts.answer:
        return parts
    digest = hashlib.sha256(f"{parts.question}\n{parts.answer}".encode("utf-8", "replace")).digest()
    place = int.from_bytes(digest[:8], "big") % (len(parts.choices) + 1)
    choices = (*parts.choices[:place], clean(parts.answer), *parts.choices[place:])
    return parts._replace(choices=choices, labels=())


def _one_hot(parts: Parts) -> Parts:
    """Each choice is marked by a 1 or a 0, of which one is a 1; TruthfulQA's authors have the choices as keys."""
    choices, marks = parts.choices, parts.labels
    if {*choices} <= {"0", "1"}:
        choices, marks = tuple(map(clean, marks)), choices
    return parts._replace(choices=choices, labels=(), answer=marks.index("1") if marks.count("1") == 1 else None)


def _yes_no(parts: Parts) -> Parts:
    return parts._replace(choices=("no", "yes"), labels=())


SCHEMAS = (
    Schema("RACE", ("article", "options"), published="letter"),
    Schema("COPA", ("premise", "choice1", "choice2"), context="premise", published="0", continued=True, shaped=_copa),
    Schema("PIQA", ("goal", "sol1", "sol2"), published="0"),
    Schema(
        "WinoGrande", ("sentence", "option1"), question="sentence", published="1", continued=True, shaped=_winogrande
    ),
    Schema("OpenBookQA", ("questionstem",), context="fact1", question="questionstem", continued=True),
    Schema("social_i_qa", ("context", "answera", "answerb"), published="1"),
    Schema("SciQ", ("correctanswer", "distractor1"), choices="distractor#", published="text", shaped=drawn),
    Schema("GPQA", ("correctanswer", "incorrectanswer1"), choices="incorrectanswer#", published="text", shaped=drawn),
    Schema("DREAM", ("dialogue",), published="text"),
    Schema("QuAIL", ("answers", "correctanswerid"), published="0"),
    Schema("LogiQA", ("query", "options"), published="0"),
    Schema("SWAG", ("sent1", "sent2"), context="sent1", question="sent2", published="0", continued=True),
    Schema(
        "HellaSwag", ("ctx",), context="activitylabel", question="ctx", published="0", continued=True, shaped=_activity
    ),
    Schema(
        "StoryCloze",
        ("inputsentences",),
        context="inputsentences",
        question="",
        choices="randomfifthsentencequiz#|sentencequiz#",
        published="1",
        continued=True,
    ),
    Schema("TruthfulQA", ("mc1targets",), choices="mc1targets", published="0", shaped=_one_hot),
    Schema("CosmosQA", ("context", "answer0", "answer1"), published="0"),
    Schema("MedMCQA", ("opa", "opb", "cop")),
    Schema("CommonsenseQA", ("questionconcept", "choices")),
    Schema("ARC", ("choices", "answerkey")),
    Schema(""),  # a question, a list or numbered columns of choices, and an answer
    Schema("", question="", continued=True),  # a context that the choices go on with
    Schema("BoolQ", choices="", published="0", shaped=_yes_no),
)
