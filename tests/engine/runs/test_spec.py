"""What the fields of a spec say, against values tried one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest

from engine.runs.spec import BadSpec, changed, check, option, options, spelled, typed


@dataclass(frozen=True)
class Example:
    """One field of each sort."""

    count: int = option(4, "a count", minimum=2, maximum=8)
    share: float = option(0.5, "a share", above=0, below=1)
    rate: float = option(0.5, "a rate", minimum=0, below=1)
    free: int = option(0, "anything not negative", minimum=0)
    kind: str = option("a", "a choice", choices=("a", "b"))
    several: tuple[str, ...] = option(("a",), "some", choices=("a", "b"), required="name one")
    text: str = option("x", "a text", required="name a text")
    lines: str | None = option(None, "a prompt", escaped=True)
    column: str = option("", "a column", blank="auto")
    flag: bool = option(False, "a flag")

    def validate(self) -> list[Any]:
        return check(self)


GOOD = Example()


def wrong(**values: Any) -> dict[str, str]:
    """What is wrong with these values, by field."""
    return {problem.field: problem.message for problem in check(replace(GOOD, **values))}


def test_ranges_hold_what_a_comparison_says_they_hold() -> None:
    inside = {
        "count": lambda x: 2 <= x <= 8,
        "share": lambda x: 0 < x < 1,
        "rate": lambda x: 0 <= x < 1,
        "free": lambda x: x >= 0,
    }
    for name, holds in inside.items():
        numbers = [-1, 0, 1, 2, 5, 8, 9]
        if name in ("share", "rate"):
            numbers = [-0.1, -0.0, 0.0, 1e-9, 0.5, 1 - 1e-9, 1.0, 1, 0, math.nan, math.inf, -math.inf]
        for number in numbers:
            assert (name not in wrong(**{name: number})) == holds(number), (name, number)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 9, "must lie between 2 and 8"),
        ("share", 0.0, "must lie in 0 < share < 1"),
        ("rate", 1.0, "must lie in 0 ≤ rate < 1"),
        ("free", -1, "must not be negative"),
        ("free", 10**30, "is too large"),
        ("count", "4", "'4' is not a whole number"),
        ("count", True, "True is not a whole number"),
        ("share", "much", "'much' is not a number"),
        ("flag", 1, "1 is not true or false"),
        ("kind", "c", "'c' is none of a, b"),
        ("several", ("a", "c", "d"), "'c', 'd' is none of a, b"),
        ("several", (), "name one"),
        ("several", ["a"], "['a'] is not of its type"),
        ("text", " ", "name a text"),
        ("lines", 3, "3 is not of its type"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: object, message: str) -> None:
    assert wrong(**{name: value}) == {name: message}


def test_everything_wrong_with_text_is_told_at_once_and_nothing_twice() -> None:
    given = {"count": "many", "share": "2", "kind": "c", "several": "", "colour": "red", "flag": "perhaps"}
    with pytest.raises(BadSpec) as caught:
        changed(GOOD, given)
    assert sorted(problem.field for problem in caught.value.problems) == sorted(given)


@pytest.mark.parametrize("text", ["", "auto ", "\n", "\\n", "\\\n", "a\tb\r", "\\", 'è "x" '])
def test_text_with_escapes_comes_back(text: str) -> None:
    spec = replace(GOOD, lines=text, column="a column", flag=True, share=1 / 3)
    texts = spelled(spec)
    assert not set("\n\t\r") & set(texts["lines"])
    assert changed(GOOD, typed(Example, texts)) == spec


def test_what_is_not_set_has_a_word_of_its_own() -> None:
    assert (spelled(GOOD)["lines"], spelled(GOOD)["column"]) == ("auto", "auto")
    assert changed(replace(GOOD, lines="x", column="y"), typed(Example, spelled(GOOD))) == GOOD
    assert list(options(Example)) == list(spelled(GOOD))
