"""Dataclasses as JSON and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pytest

from engine.runs import codec


@dataclass(frozen=True)
class Inner:
    name: str
    share: float


@dataclass(frozen=True)
class Outer:
    kind: ClassVar[str] = "outer"

    count: int
    rate: float
    title: str = "t"
    on: bool = False
    maybe: float | None = None
    pair: tuple[float, float] = (0.0, 1.0)
    mixed: tuple[int, str] = (1, "a")
    rows: tuple[tuple[int, ...], ...] = ()
    inner: tuple[Inner, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)


WHOLE = Outer(
    3, 0.5, "è\n", True, 2.0, (1.5, -0.0), (2, "b"), ((1, 2), ()), (Inner("a", 0.25),), {"a": [1, {"b": None}]}
)


def through_json(value: Any) -> Any:
    return codec.decode(type(value), json.loads(json.dumps(codec.encode(value), allow_nan=False)))


def test_every_kind_of_field_survives_json() -> None:
    assert through_json(WHOLE) == WHOLE
    assert through_json(Outer(0, 0.0)) == Outer(0, 0.0)


@pytest.mark.parametrize("number", [math.inf, -math.inf, 1e308, 5e-324, 0.1])
def test_numbers_survive_json_also_those_that_are_not_finite(number: float) -> None:
    made = replace(WHOLE, rate=number, maybe=number, pair=(number, number), inner=(Inner("a", number),))
    assert through_json(made) == made
    assert math.isnan(through_json(replace(WHOLE, rate=math.nan)).rate)


def test_inside_a_dictionary_they_become_null_since_nothing_says_what_they_are() -> None:
    assert through_json(replace(WHOLE, more={"a": [math.nan, (1, 2)]})).more == {"a": [None, [1, 2]]}


def test_entries_of_other_versions_are_left_out_and_can_be_kept() -> None:
    record = {**codec.encode(WHOLE), "later": [1], "kind": "other"}
    assert codec.decode(Outer, record) == WHOLE
    assert codec.unknown(Outer, record) == {"later": [1], "kind": "other"}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(codec.Misfit) as raised:
        codec.decode(Outer, {"rate": "fast", "on": 1, "pair": [1.0]})
    assert [name for name, _ in raised.value.problems] == ["count", "on", "pair", "rate"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", True), ("count", 1.0), ("count", 1 << 64), ("count", None), ("rate", False), ("rate", "0.5"),
        ("rate", float("inf")), ("rate", "nan"), ("rate", None), ("title", 5), ("on", 0),
        ("maybe", "x"), ("pair", [1.0, 2.0, 3.0]), ("pair", {"a": 1}), ("rows", [[1, "2"]]), ("rows", [1]),
        ("mixed", ["b", 2]), ("mixed", [2]),
        ("inner", [{"name": "a"}]), ("inner", [["a", 1.0]]), ("more", []), ("more", {"a": [float("nan")]}),
        ("more", {"a": 1 << 64}),
    ],
)  # fmt: skip
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(codec.Misfit, match=name):
        codec.decode(Outer, {**codec.encode(WHOLE), name: value})


def test_a_whole_number_stands_for_any_and_deep_nesting_is_refused() -> None:
    made = codec.decode(Outer, {"count": 1, "rate": 2})
    assert (made.rate, type(made.rate)) == (2.0, float)
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(codec.Misfit, match="more"):
        codec.decode(Outer, {"count": 1, "rate": 2, "more": deep})
