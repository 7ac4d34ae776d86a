"""Multiple-choice questions: every schema gives the same item, what is broken is told, the rest is used."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from data import choices
from data.choices import TableError, load


def write(path: Path, rows: list[Any]) -> Path:
    """Rows as JSON lines; text goes as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n", "utf-8")
    return path


def plain(number: int, **changes: Any) -> dict[str, Any]:
    """A good row."""
    return {"question": f"Question {number}?", "choices": [f"a{number}", f"b{number}"], "answer": number % 2, **changes}


def test_identical_questions_are_never_in_two_of_the_splits_that_are_made_here(tmp_path: Path) -> None:
    rows = [plain(number % 30, choices=[f"a{number}", f"b{number}"]) for number in range(90)]
    rows[7]["question"] = rows[7]["question"].upper()
    found = load(str(write(tmp_path / "twins.jsonl", rows)))
    splits = [{item.question.casefold() for item in part} for part in (found.train, found.held_out, found.judged)]
    assert sum(map(len, splits)) == len(set().union(*splits)) == 30
    sizes = [len(part) for part in (found.train, found.held_out, found.judged)]
    assert sum(sizes) == 90
    assert sizes[2] == 27  # thirty percent
    assert not any("in train too" in line for line in found.checks)


def test_items_are_divided_where_every_question_is_the_same(tmp_path: Path) -> None:
    rows = [plain(number // 2, question="Which one?") for number in range(40)]
    found = load(str(write(tmp_path / "same.jsonl", rows)))
    assert min(len(found.train), len(found.held_out), len(found.judged)) > 4
    splits = [{item.choices for item in part} for part in (found.train, found.held_out, found.judged)]
    assert sum(map(len, splits)) == 20
    rows = [plain(1) for _ in range(10)]
    found = load(str(write(tmp_path / "one.jsonl", rows)))
    assert [len(part) for part in (found.train, found.held_out, found.judged)] == [5, 2, 3]


def test_no_more_than_the_share_is_held_out_where_questions_come_in_pairs(tmp_path: Path) -> None:
    rows = [plain(number // 2, choices=[f"a{number}", f"b{number}"]) for number in range(50)]
    assert len(load(str(write(tmp_path / "pairs.jsonl", rows))).judged) == 14  # 30 percent are 15


def test_splits_without_identical_questions_are_those_of_a_plain_draw(tmp_path: Path) -> None:
    found = load(str(write(tmp_path / "plain.jsonl", [plain(number) for number in range(100)])), seed=5)
    drawn = sorted(random.Random("5/judged").sample(range(100), 30))
    assert [item.question for item in found.judged] == [f"Question {number}?" for number in drawn]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (plain(1, choices=["only"]), "with one choice"),
        (plain(1, choices=[]), "with no choices"),
        (plain(1, choices=[str(n) for n in range(11)]), "with more than 10 choices"),
        (plain(1, choices=["x", " "]), "with an empty choice"),
        (plain(1, question="  "), "without a question"),
        (plain(1, answer="z9"), "whose answer is none of the choices"),
        (plain(1, answer=2), "whose answer is none of the choices"),
        (plain(1, answer=""), "without an answer"),
        (plain(1, answer=None), "without an answer"),
    ],
)
def test_a_bad_item_is_told_and_the_rest_is_used(row: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [*(plain(n) for n in range(20)), row])
    found = load(str(path))
    assert any(told in line and "21" in line for line in found.repairs), found.repairs
    assert len(found.train) + len(found.held_out) + len(found.judged) == 20


def test_broken_json_is_named_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [*(plain(n) for n in range(9)), '{"question": "cut of'])
    assert any("first is line 10" in line for line in load(str(path)).repairs)


def test_nothing_usable(tmp_path: Path) -> None:
    path = write(tmp_path / "some.jsonl", [plain(1, choices=["only"])] * 3)
    with pytest.raises(TableError, match="one choice"):
        load(str(path))
    with pytest.raises(TableError, match="no file or folder"):
        load("does/not/exist.jsonl")
    with pytest.raises(TableError, match="everyday"):
        load(" ")


def test_splits_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [plain(n) for n in range(100)])
    write(tmp_path / "validation.jsonl", [plain(n) for n in range(200, 230)])
    found = load(str(tmp_path))
    assert (found.judged_split, len(found.judged)) == ("validation", 30)
    assert len(found.train) + len(found.held_out) == 100
    assert not set(found.train) & set(found.held_out)
    # The Hub's test split carries no answers; one that does is judged, and validation stops the training then.
    write(tmp_path / "test.jsonl", [plain(n, answer="") for n in range(300, 310)])
    assert load(str(tmp_path)).judged_split == "validation"
    write(tmp_path / "test.jsonl", [plain(n) for n in range(300, 310)])
    found = load(str(tmp_path))
    assert (found.judged_split, len(found.held_out), len(found.train)) == ("test", 30, 100)


def test_columns_beside_the_split_of_each_row_are_found_wherever_they_begin(tmp_path: Path) -> None:
    rows = [plain(number, split="train") for number in range(1100)]
    rows += [plain(number, split="test", context="It was late.") for number in range(2000, 2020)]
    found = load(str(write(tmp_path / "some.jsonl", rows)))
    assert {item.context for item in found.judged} == {"It was late."}
    assert not any("not used" in line for line in found.repairs)


def test_the_same_seed_draws_the_same(tmp_path: Path) -> None:
    path = str(write(tmp_path / "some.jsonl", [plain(n) for n in range(60)]))
    one, two, other = load(path, limit=8), load(path, limit=8), load(path, limit=8, seed=2)
    assert one == two
    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert len(one.judged) == 8


def test_checks(tmp_path: Path) -> None:
    rows = [plain(n) for n in range(20)]
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "validation.jsonl", [rows[3], *(plain(n) for n in range(50, 60)), plain(9, choices=["x", "X"])])
    found = load(str(tmp_path))
    leaks = "evaluated items that are in train too: 1" in " ".join(found.checks)
    assert leaks or any(item.question == "Question 3?" for item in found.held_out)
    assert "duplicate choices" in " ".join(found.checks)


def test_one_item_is_judged_and_nothing_trained(tmp_path: Path) -> None:
    found = load(str(write(tmp_path / "some.jsonl", [plain(1)])))
    assert (len(found.train), len(found.held_out), len(found.judged)) == (0, 0, 1)


def test_bundled() -> None:
    found = load(choices.BUNDLED)
    every = [*found.train, *found.held_out, *found.judged]
    assert len(every) >= 60
    assert len({item.question for item in every}) == len(every)
    assert {len(item.choices) for item in every} == {4, 5}
    assert not found.checks[2:]  # no leaks, no twins
