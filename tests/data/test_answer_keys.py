"""What answers mean is decided once for all rows, whatever the choices' texts are; what is dropped is counted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_choice_schemas import raw_of

from data.answer_keys import decide
from data.choice_schemas import Parts
from data.choices import Item, load, read

Texts = Callable[[random.Random, int], list[str]]
TEXTS: dict[str, Texts] = {
    "digits": lambda rng, count: rng.sample([str(one) for one in range(6)], count),
    "the digits of the indices, in any order": lambda rng, count: rng.sample([str(one) for one in range(count)], count),
    "digits from 1": lambda rng, count: rng.sample([str(one + 1) for one in range(count)], count),
    "floats": lambda rng, count: [f"{one}.0" for one in rng.sample(range(6), count)],
    "letters": lambda rng, count: rng.sample("ABCDEF", count),
    "words": lambda rng, count: rng.sample(["sea", "tree", "nest", "owl", "true", "no"], count),
    "all alike": lambda rng, count: ["2"] * count,
}


def rows_of(texts: Texts, counts: tuple[int, ...], spelled: Callable[[int], Any], total: int) -> list[dict[str, Any]]:
    """Rows whose right choices, told in a column that is not read, are drawn."""
    rng = random.Random(5)
    found = []
    for number in range(total):
        count = rng.choice(counts)
        gold = rng.randrange(count)
        row = {"question": f"Question {number}?", "choices": texts(rng, count), "answer": spelled(gold)}
        found.append({**row, "true_place": gold})
    return found


def wrong(rows: list[dict[str, Any]], **given: Any) -> int:
    found = read(raw_of(rows), **given)
    golds = [item.gold if isinstance(item, Item) else None for item in found.items["test"]]
    return sum(gold != row["true_place"] for gold, row in zip(golds, rows, strict=True))


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("counts", [(4,), (2, 3, 4, 5)])
@pytest.mark.parametrize("spelled", [int, str, float, lambda gold: f" {gold} ", lambda gold: f"{gold}.0"])
def test_indices_from_0_are_never_looked_up_among_the_texts(
    texts: str, counts: tuple[int, ...], spelled: Callable[[int], Any]
) -> None:
    assert wrong(rows_of(TEXTS[texts], counts, spelled, 1000)) == 0


@pytest.mark.parametrize(("odd", "kind"), [(1, "letter"), (2, "text")])
def test_the_published_kind_is_kept_where_it_explains_nearly_as_many(odd: int, kind: str) -> None:
    rows = [Parts("", "Which?", ("b", "a"), (), "a", False)] * (20 - odd)
    rows += [Parts("", "Which?", ("x", "y"), (), "x", False)] * odd
    assert decide({"test": rows}, "letter")["test"].kind == kind


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("spelled", [int, str, float])
def test_indices_from_1_are_found_and_told(texts: str, spelled: Callable[[int], Any]) -> None:
    rows = rows_of(TEXTS[texts], (4,), lambda gold: spelled(gold + 1), 200)
    assert wrong(rows) == 0
    assert any("counted from 1" in line for line in read(raw_of(rows)).repairs)


@pytest.mark.parametrize("texts", TEXTS)
@pytest.mark.parametrize("spelled", ["{}", "({})", "{}.", " {}"])
def test_letters(texts: str, spelled: str) -> None:
    rows = rows_of(TEXTS[texts], (2, 3, 4), lambda gold: spelled.format("ABCD"[gold]), 200)
    assert wrong(rows) == 0
    assert wrong([{**row, "answer": row["answer"].lower()} for row in rows]) == 0


@pytest.mark.parametrize("texts", ["words", "floats"])
def test_texts(texts: str) -> None:
    rows = rows_of(TEXTS[texts], (2, 3, 4), int, 200)
    assert wrong([{**row, "answer": row["choices"][row["true_place"]]} for row in rows]) == 0


def test_numbers_beyond_the_choices_are_texts() -> None:
    rows = [{"question": f"{n}?", "choices": [n + 30, n + 40, n], "answer": n + 40, "true_place": 1} for n in range(10)]
    assert wrong(rows) == 0


def test_booleans_and_floats_are_found_among_the_texts() -> None:
    for choices, answers in (
        (["Yes", "No"], [True, False, True]),
        (["true", "false"], [True, False, True]),
        ([0.5, 2.0], [0.5, 2.0, 0.5]),
        ([30, 40], [30.0, 40.0, 30.0]),
    ):
        rows = [
            {"question": f"{n}?", "choices": choices, "answer": answer, "true_place": n % 2}
            for n, answer in enumerate(answers)
        ]
        assert wrong(rows) == 0


def test_labels_go_before_indices() -> None:
    """As in ARC, whose labels are sometimes numbers."""
    labels = {"label": ["2", "1", "3"], "text": ["x", "y", "z"]}
    assert wrong([{"question": "?", "choices": labels, "answerKey": "1", "true_place": 1}] * 3) == 0


def test_faulty_rows_do_not_change_the_meaning_of_the_others() -> None:
    rows = rows_of(TEXTS["digits"], (4,), int, 200)
    faulty = [{**rows[0], "answer": answer} for answer in (4, 9, "none of these", [1, 2], True)]
    found = read(raw_of([*rows, *faulty])).items["test"]
    assert [item.gold for item in found[:200] if isinstance(item, Item)] == [row["true_place"] for row in rows]
    assert found[200:] == ["whose answer is none of the choices"] * 5


def test_a_faulty_row_that_a_text_explains_does_not_make_texts_of_indices() -> None:
    rows = rows_of(TEXTS["the digits of the indices, in any order"], (4,), int, 60)
    faulty = {"question": "?", "choices": ["7", "8", "9", "6"], "answer": 7}
    found = read(raw_of([*rows, faulty])).items["test"]
    assert [item.gold for item in found[:60] if isinstance(item, Item)] == [row["true_place"] for row in rows]
    assert isinstance(found[60], str)


def test_a_published_convention_decides_where_the_rows_do_not() -> None:
    rows = [
        {"sentence": f"{n} Ann saw Eve because _ came.", "option1": "Ann", "option2": "Eve", "answer": "1"}
        for n in range(4)
    ]
    found = read(raw_of(rows))
    assert [item.gold for item in found.items["test"] if isinstance(item, Item)] == [0] * 4
    assert not any("--answer-base" in line for line in found.repairs)


def test_minus_one_is_an_answer_where_a_choice_reads_so() -> None:
    rows = [{"question": "?", "choices": ["-1", "one", "two"], "answer": answer} for answer in ("-1", "two", "one")]
    assert [item.gold for item in read(raw_of(rows)).items["test"] if isinstance(item, Item)] == [0, 2, 1]


def test_what_the_rows_do_not_tell_is_told_and_can_be_given() -> None:
    rows = [{"question": f"{n}?", "choices": ["3", "1", "2", "0"], "answer": 1 + n % 2} for n in range(6)]
    found = read(raw_of(rows))
    (line,) = [line for line in found.repairs if "--answer-base" in line]
    assert "answer 1 of the first item of test is read as the choice '1' (B)" in line
    for base, wanted in (("0", [1, 2]), ("1", [0, 1]), ("text", [1, 2]), ("letter", [])):
        items = read(raw_of(rows), base).items["test"]
        assert [item.gold for item in items if isinstance(item, Item)][:2] == wanted
    assert not any("--answer-base" in line for line in read(raw_of(rows), "1").repairs)


def test_a_split_that_does_not_tell_is_read_as_one_that_does(tmp_path: Path) -> None:
    def some(answers: list[int], what: str) -> str:
        rows = [
            {"question": f"{what} {n}?", "choices": ["w", "x", "y", "z"], "answer": one}
            for n, one in enumerate(answers)
        ]
        return "\n".join(map(json.dumps, rows))

    (tmp_path / "train.jsonl").write_text(some([1, 2, 3, 4] * 9, "train"))
    (tmp_path / "test.jsonl").write_text(some([1, 2, 3], "test"))
    assert [item.gold for item in load(str(tmp_path)).judged] == [0, 1, 2]
    (tmp_path / "train.jsonl").write_text(some([0, 1, 2, 3] * 9, "train"))
    assert [item.gold for item in load(str(tmp_path)).judged] == [1, 2, 3]
    (tmp_path / "test.jsonl").write_text(some([1, 2, 3, 4], "test"))  # tells for itself
    assert [item.gold for item in load(str(tmp_path)).judged] == [0, 1, 2, 3]


def test_integers_with_names_are_counted_from_0() -> None:
    """A ClassLabel of the Hub."""
    rows = [{"question": "?", "choices": ["x", "y"], "answer": 1}] * 3
    found = read(raw_of(rows, answer=["A", "B"]))
    assert not [line for line in found.repairs if "answers are" in line]
    assert [item.gold for item in found.items["test"] if isinstance(item, Item)] == [1, 1, 1]


def good(number: int, **changes: Any) -> dict[str, Any]:
    return {"question": f"Question {number}?", "choices": ["x", "y", "z"], "answer": number % 3, **changes}


FAULTS: dict[str, dict[str, Any]] = {
    "with no choices": {"choices": []},
    "with no choices where": {"choices": None},
    "with one choice": {"choices": ["only"]},
    "with more than 10 choices": {"choices": [str(n) for n in range(11)]},
    "with an empty choice": {"choices": ["x", None, "z"]},
    "with an empty choice left out": {"choices": ["x", float("nan"), "z"]},
    "without a question": {"question": " "},
    "whose answer is none of the choices": {"answer": 3},
    "whose answer is none of": {"answer": "Q9"},
    "without an answer": {"answer": None},
    "without an answer left": {"answer": float("nan")},
    "without an answer left out": {"answer": float("inf")},
    "without an answer left out; the first": {"answer": -1},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_row_that_is_left_out_is_counted_and_its_first_place_told(fault: str, tmp_path: Path) -> None:
    rows = [good(n) for n in range(40)]
    for place in (7, 8, 30):
        rows[place] |= FAULTS[fault]
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load(str(tmp_path / "some.jsonl"))
    assert len(found.train) + len(found.held_out) + len(found.judged) == 37
    (line,) = [line for line in found.repairs if fault in line]
    assert "3 rows" in line
    assert "row 8 of some.jsonl" in line


def test_counts_in_and_out_agree_over_faults_of_every_kind(tmp_path: Path) -> None:
    kinds = list(FAULTS.values())
    rows = [good(n) | (kinds[n // 3 % len(kinds)] if n % 3 == 0 else {}) for n in range(120)]
    lines = [json.dumps(row) for row in rows]
    lines[5:5] = ['{"question": "cut', "7"]
    (tmp_path / "some.jsonl").write_text("\n".join(lines))
    found = load(str(tmp_path / "some.jsonl"))
    told = [line.split(": ", 1)[1] for line in found.repairs if "left out" in line]
    dropped = sum(int(line.split()[0]) for line in told)
    assert len(found.train) + len(found.held_out) + len(found.judged) + dropped == 122


def test_texts_that_are_cut_are_told(tmp_path: Path) -> None:
    rows = [good(n) for n in range(12)]
    rows[3]["context"] = "a" * 9000 + "end"
    rows[4]["question"] = "b" * 9000
    (tmp_path / "some.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load(str(tmp_path / "some.jsonl"))
    assert any("2 rows" in line and "cut to 8,000" in line and "row 4" in line for line in found.repairs)
    assert any(item.context.endswith("end") for item in (*found.train, *found.held_out, *found.judged))
