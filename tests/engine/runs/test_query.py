"""Which runs a filter keeps and how they are ordered."""

from __future__ import annotations

import math
import random

import pytest

from engine.runs import query
from engine.runs.listing import Summary
from engine.runs.spec import BadSpec


def a_run(name: str, **known: object) -> Summary:
    return Summary(name, f"/runs/{name}", **{"state": "finished", **known})  # type: ignore[arg-type]


VERSE = a_run("verse", best_val_loss=1.5, corpus="/texts/Inferno.txt", preset="nano", step=900, spec={"seed": 3})
PROSE = a_run("prose", best_val_loss=1.9, preset="fast", step=50, state="stopped", spec={"seed": 4, "device": "cpu"})
TEXTS = a_run("texts", task="classify", accuracy=0.87, corpus="emotion", method="finetune", spec={"encoder": "minilm"})
QUIZ = a_run("quiz", task="choose", accuracy=0.4, chance=0.2, corpus="commonsense_qa")
PAGES = a_run("pages", task="retrieve", ndcg=0.7, preset="minilm")
EMPTY = a_run("empty", state="starting")
ALL = [VERSE, PROSE, TEXTS, QUIZ, PAGES, EMPTY]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ALL),
        ("inferno", [VERSE]),
        ("MINILM", [PAGES]),
        ("fine", [TEXTS]),
        ("stopped prose", [PROSE]),
        ("stopped verse", []),
        ("task:train", [VERSE, PROSE, EMPTY]),
        ("preset:nano best<1.8", [VERSE]),
        ("best<1.8 task:train", [VERSE]),
        ("loss>=1.5", [VERSE, PROSE]),
        ("bits<2.2", [VERSE]),
        ("accuracy>50%", [TEXTS]),
        ("accuracy>0.87", []),
        ("accuracy>=0.87", [TEXTS]),
        ("chance=20%", [QUIZ]),
        ("seed=3", [VERSE]),
        ("seed!=3", [PROSE]),
        ("steps>1 step>100", []),
        ("step>=900", [VERSE]),
        ("device:cpu", [PROSE]),
        ("encoder:minilm", [PAGES]),
        ("data:emotion", [TEXTS]),
        ("state=finished task:choose", [QUIZ]),
        ("state!=finished", [PROSE, EMPTY]),
        ("no-such-field>3", []),
        ("a:", ALL),
        ("<3", []),
    ],
)
def test_what_a_filter_keeps(text: str, kept: list[Summary]) -> None:
    assert [one for one in ALL if query.matching(text)(one)] == kept


@pytest.mark.parametrize("text", ["best<", "best<x", "seed>=nan", "nano best<1,5x"])
def test_a_comparison_without_a_number_is_refused(text: str) -> None:
    with pytest.raises(BadSpec, match="there is no number after"):
        query.matching(text)


@pytest.mark.parametrize("by", query.SORTS)
def test_orders_are_those_of_a_plain_sort_and_equals_keep_their_place(by: str) -> None:
    draw = random.Random(7)
    runs = [
        a_run(
            f"{draw.choice('ab')}{number}",
            task=(task := draw.choice(["train", "classify", "retrieve"])),
            step=draw.randrange(3),
            size=draw.choice([None, 10, 20]),
            best_val_loss=draw.choice([None, 1.0, 2.0]) if task == "train" else None,
            accuracy=draw.choice([None, 0.1, 0.9]) if task == "classify" else None,
            ndcg=draw.choice([None, 0.1, 0.9]) if task == "retrieve" else None,
        )
        for number in range(60)
    ]

    def before(one: Summary, other: Summary) -> bool:
        """Whether ``one`` must come before ``other``, whatever their places."""
        if by == "newest":
            return False
        if by == "steps":
            return one.step > other.step
        if by == "size":
            return (one.size or 0) > (other.size or 0)
        if by != "best":
            return str(getattr(one, by)) < str(getattr(other, by))
        ranks = [["train", "classify", "choose", "retrieve"].index(run.task) for run in (one, other)]
        if ranks[0] != ranks[1]:
            return ranks[0] < ranks[1]
        figures = [
            -math.inf if run_best is None else -run_best if run.task == "train" else run_best
            for run in (one, other)
            for run_best in [next((f for f in (run.ndcg, run.accuracy, run.best_val_loss) if f is not None), None)]
        ]
        return figures[0] > figures[1]

    found = query.ordered(runs, by)
    assert sorted(found, key=runs.index) == runs
    for place, one in enumerate(found):
        for other in found[place + 1 :]:
            assert not before(other, one)
            assert before(one, other) or runs.index(one) < runs.index(other)


def test_an_order_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadSpec, match="'worst' is not one of newest, best"):
        query.ordered(ALL, "worst")
