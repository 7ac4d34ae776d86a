"""Schemas of multiple-choice data: three rows of each give the items that they spell, and what is not used is named."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from data.choices import Item, TableError, load, read
from data.formats import Row
from data.sources import Raw

Cells = dict[str, Any]


def raw_of(rows: list[Cells], **names: list[str]) -> Raw:
    """Rows as one split, as files give them; ``names`` are of integer labels."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return Raw({"test": [Row(row, "some", place) for place, row in enumerate(rows, 1)]}, columns, names)


def items_of(rows: list[Cells], **given: Any) -> list[Item]:
    found = read(raw_of(rows), **given)
    assert not [item for item in found.items["test"] if isinstance(item, str)], found.items
    return [item for item in found.items["test"] if isinstance(item, Item)]


def told_of(rows: list[Cells], **given: Any) -> str:
    found = read(raw_of(rows), **given)
    return "\n".join((*found.told, *found.repairs))


def labelled(letters: str, *texts: str) -> Cells:
    return {"text": list(texts), "label": list(letters)}


Q = ("Where do fish live?", "What barks?", "Which is red?")
C = (("sea", "tree", "nest"), ("cat", "dog", "owl"), ("milk", "snow", "brick"))
GOLD = (0, 1, 2)
PLAIN = [Item(question, choices, gold) for question, choices, gold in zip(Q, C, GOLD, strict=True)]


def columns(*names: str) -> list[Cells]:
    """The choices in a column each."""
    return [dict(zip(names, choices, strict=True)) for choices in C]


def rows(**cells: Any) -> list[Cells]:
    """Three rows, the cells of each column one after the other."""
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def beside(one: list[Cells], two: list[Cells]) -> list[Cells]:
    return [{**left, **right} for left, right in zip(one, two, strict=True)]


def with_context(*contexts: str, items: list[Item] = PLAIN, continued: bool = False) -> list[Item]:
    return [
        Item(item.question, item.choices, item.gold, context, continued)
        for item, context in zip(items, contexts, strict=True)
    ]


LISTS = [list(choices) for choices in C]
PASSAGES = ("The sea is full of fish.", "Dogs bark and owls call.", "A wall is of red brick.")
KNOWN: dict[str, tuple[list[Cells], list[Item]]] = {
    "MMLU": (rows(question=Q, subject="abc", choices=LISTS, answer=GOLD), PLAIN),
    "MMLU in a CSV, by letters": (
        beside(rows(Question=Q, Answer="ABC"), columns("A", "B", "C")),
        PLAIN,
    ),
    "lists in a CSV, as text": (
        rows(question=Q, choices=[repr(LISTS[0]), json.dumps(LISTS[1]), repr(LISTS[2])], answer="012"),
        PLAIN,
    ),
    "MMLU-Pro": (rows(question=Q, options=LISTS, answer="ABC", answer_index=GOLD), PLAIN),
    "ARC": (
        [
            {"id": "a", "question": Q[0], "choices": labelled("ABC", *C[0]), "answerKey": "A"},
            {"id": "b", "question": Q[1], "choices": labelled("1234", *C[1], "mouse"), "answerKey": "2"},
            {"id": "c", "question": Q[2], "choices": labelled("ABCDE", *C[2], "ink", "fog"), "answerKey": "C"},
        ],
        [PLAIN[0], Item(Q[1], (*C[1], "mouse"), 1), Item(Q[2], (*C[2], "ink", "fog"), 2)],
    ),
    "ARC as its authors publish it": (
        [
            {
                "question": {
                    "stem": item.question,
                    "choices": [
                        {"text": text, "label": label} for text, label in zip(item.choices, letters, strict=True)
                    ],
                },
                "answerKey": letters[item.gold],
            }
            for item, letters in zip(PLAIN, ("ABC", "123", "ABC"), strict=True)
        ],
        PLAIN,
    ),
    "CommonsenseQA": (
        rows(question=Q, question_concept="abc", choices=[labelled("ABC", *c) for c in C], answerKey="ABC"),
        PLAIN,
    ),
    "OpenBookQA": (
        rows(
            question_stem=("Fish live in the", "The animal that barks is a", "Red is a"),
            choices=[labelled("ABC", *c) for c in C],
            fact1=PASSAGES,
            answerKey="ABC",
        ),
        [
            Item(stem, choices, gold, fact, True)
            for stem, choices, gold, fact in zip(
                ("Fish live in the", "The animal that barks is a", "Red is a"), C, GOLD, PASSAGES, strict=True
            )
        ],
    ),
    "SWAG": (
        beside(
            rows(
                sent1=("A man sits down.", "A dog wakes.", "She opens a door."),
                sent2=("He", "It", "She"),
                label=(2, 0, 1),
                **{"gold-source": ["gold"] * 3},
            ),
            columns("ending0", "ending1", "ending2"),
        ),
        [
            Item("He", C[0], 2, "A man sits down.", True),
            Item("It", C[1], 0, "A dog wakes.", True),
            Item("She", C[2], 1, "She opens a door.", True),
        ],
    ),
    "HellaSwag": (
        rows(
            activity_label=("Cooking", "Rowing", "Sewing"),
            ctx=("A man cuts bread. he", "A boat turns. it", "She takes a needle. she"),
            endings=LISTS,
            label="120",
        ),
        [
            Item("A man cuts bread. he", C[0], 1, "Cooking:", True),
            Item("A boat turns. it", C[1], 2, "Rowing:", True),
            Item("She takes a needle. she", C[2], 0, "Sewing:", True),
        ],
    ),
    "HellaSwag in two parts": (
        rows(
            ind=(1, 2, 3),
            activity_label=("Cooking", "", "Sewing"),
            ctx_a=("A man cuts bread.", "A boat turns.", "She takes a needle."),
            ctx_b=("he", "", "she"),
            endings=LISTS,
            label="120",
        ),
        [
            Item("A man cuts bread. he", C[0], 1, "Cooking:", True),
            Item("A boat turns.", C[1], 2, "", True),
            Item("She takes a needle. she", C[2], 0, "Sewing:", True),
        ],
    ),
    "StoryCloze": (
        [
            {f"InputSentence{number}": f"{passage} {number}." for number in range(1, 5)}
            | {"RandomFifthSentenceQuiz1": C[0][0], "RandomFifthSentenceQuiz2": C[0][1], "AnswerRightEnding": answer}
            for passage, answer in zip(PASSAGES, (1, 2, 1), strict=True)
        ],
        [
            Item("", C[0][:2], answer - 1, " ".join(f"{passage} {number}." for number in range(1, 5)), True)
            for passage, answer in zip(PASSAGES, (1, 2, 1), strict=True)
        ],
    ),
    "HeadQA": (
        [
            {"qtext": question, "ra": gold + 1, "answers": [{"aid": n, "atext": one} for n, one in enumerate(some, 1)]}
            for question, some, gold in zip(Q, C, GOLD, strict=True)
        ],
        PLAIN,
    ),
    "TruthfulQA": (
        rows(
            question=Q,
            mc1_targets=[
                {"choices": list(some), "labels": [int(place == gold) for place in range(3)]}
                for some, gold in zip(C, GOLD, strict=True)
            ],
        ),
        PLAIN,
    ),
    "TruthfulQA as its authors publish it": (
        rows(
            question=Q,
            mc1_targets=[
                {one: int(place == gold) for place, one in enumerate(some)} for some, gold in zip(C, GOLD, strict=True)
            ],
        ),
        PLAIN,
    ),
    "BIG-bench": (
        rows(
            inputs=Q,
            multiple_choice_targets=LISTS,
            multiple_choice_scores=[[1, 0, 0], [0, 1, 0], [0, 0, 1]],
            targets=[[some[gold]] for some, gold in zip(C, GOLD, strict=True)],
        ),
        PLAIN,
    ),
    "answers in lists": (rows(query=Q, choices=LISTS, gold=[[gold] for gold in GOLD]), PLAIN),
    "MMLU without a header": ([dict(zip("123456", (Q[1], *C[1], "fox", "B"), strict=True))] * 3,
                              [Item(Q[1], (*C[1], "fox"), 1)] * 3),
    "questions of other names": (
        rows(question_content=Q, candidate_answers=LISTS, correct=[C[n][n] for n in GOLD]), PLAIN),
    "input and target": (beside(rows(input=Q, target="ABC"), columns("A", "B", "C")), PLAIN),
    "instruction": (beside(rows(instruction=Q, answer="abc"), columns("option_a", "option_b", "option_c")), PLAIN),
    "MathQA": (
        rows(
            Problem=Q,
            options=[f"a ) {some[0]} , b ) {some[1]} , c ) {some[2]}" for some in C],
            correct="abc",
        ),
        PLAIN,
    ),
    "RACE": (
        rows(example_id="xyz", article=PASSAGES, answer="ABC", question=Q, options=LISTS),
        with_context(*PASSAGES),
    ),
    "RACE, all questions of an article": (
        [
            {"article": PASSAGES[0], "questions": [*Q[:2]], "options": LISTS[:2], "answers": ["A", "B"]},
            {"article": PASSAGES[1], "questions": [Q[2]], "options": [LISTS[2]], "answers": ["C"]},
            {"article": PASSAGES[2], "questions": [Q[0]], "options": [LISTS[0]], "answers": ["A"]},
        ],
        with_context(PASSAGES[0], PASSAGES[0], PASSAGES[1], PASSAGES[2], items=[*PLAIN, PLAIN[0]]),
    ),
    "QuALITY, with all of a question in one": (
        [
            {"article": PASSAGES[0], "questions": [{"question": q, "options": c, "gold_label": gold + 1}
                                                   for q, c, gold in zip(Q, LISTS, GOLD, strict=True)]},
            {"article": PASSAGES[1], "questions": [{"question": Q[0], "options": LISTS[0], "gold_label": 1}]},
            {"article": PASSAGES[2], "questions": []},
        ],
        with_context(*[PASSAGES[0]] * 3, PASSAGES[1], items=[*PLAIN, PLAIN[0]]),
    ),
    "COPA": (
        rows(
            premise=("The man broke his toe.", "The lamp fell.", "She was tired."),
            choice1=("He had a hole in his sock.", "It broke.", "She slept."),
            choice2=("He dropped a hammer.", "It sang.", "She ran."),
            question=("cause", "effect", "effect"),
            label=(1, 0, 0),
        ),
        [
            Item("because", ("He had a hole in his sock.", "He dropped a hammer."), 1, "The man broke his toe", True),
            Item("so", ("It broke.", "It sang."), 0, "The lamp fell", True),
            Item("so", ("She slept.", "She ran."), 0, "She was tired", True),
        ],
    ),
    "PIQA": (
        rows(goal=Q, sol1=[c[0] for c in C], sol2=[c[1] for c in C], label=(0, 1, 1)),
        [Item(question, choices[:2], gold) for question, choices, gold in zip(Q, C, (0, 1, 1), strict=True)],
    ),
    "WinoGrande": (
        rows(
            sentence=(
                "The cup does not fit into the box, so the _ is too big.",
                "Ann thanked Eve because _ had helped.",
                "_ was right when Ann and Eve argued.",
            ),
            option1=("cup", "Ann", "Ann"),
            option2=("box", "Eve", "Eve"),
            answer="121",
        ),
        [
            Item("The cup does not fit into the box, so the", ("cup is too big.", "box is too big."), 0, "", True),
            Item("Ann thanked Eve because", ("Ann had helped.", "Eve had helped."), 1, "", True),
            Item("", ("Ann was right when Ann and Eve argued.", "Eve was right when Ann and Eve argued."), 0, "", True),
        ],
    ),
    "social_i_qa": (
        beside(rows(context=PASSAGES, question=Q, label="121"), columns("answerA", "answerB", "answerC")),
        [Item(q, c, gold, p) for q, c, gold, p in zip(Q, C, (0, 1, 0), PASSAGES, strict=True)],
    ),
    "DREAM": (
        rows(
            dialogue=[["M: Is it here?", "W: Yes."], ["W: Hello."], ["M: 2 or 3?", "W: 3."]],
            question=Q,
            choice=LISTS,
            answer=("sea", "dog", "brick"),
        ),
        with_context("M: Is it here?\nW: Yes.", "W: Hello.", "M: 2 or 3?\nW: 3."),
    ),
    "QuAIL": (
        rows(context_id="abc", context=PASSAGES, question=Q, answers=LISTS, correct_answer_id=GOLD),
        with_context(*PASSAGES),
    ),
    "LogiQA": (rows(context=PASSAGES, query=Q, options=LISTS, correct_option=GOLD), with_context(*PASSAGES)),
    "BoolQ": (
        rows(question=Q, passage=PASSAGES, answer=(True, False, True)),
        [Item(q, ("no", "yes"), gold, p) for q, gold, p in zip(Q, (1, 0, 1), PASSAGES, strict=True)],
    ),
    "BoolQ of SuperGLUE": (
        rows(question=Q, passage=PASSAGES, label=(1, 0, 1)),
        [Item(q, ("no", "yes"), gold, p) for q, gold, p in zip(Q, (1, 0, 1), PASSAGES, strict=True)],
    ),
    "BoolQ in a CSV": (
        rows(question=Q, passage=PASSAGES, answer=("True", "false", "yes")),
        [Item(q, ("no", "yes"), gold, p) for q, gold, p in zip(Q, (1, 0, 1), PASSAGES, strict=True)],
    ),
    "CosmosQA": (
        beside(rows(context=PASSAGES, question=Q, label=GOLD), columns("answer0", "answer1", "answer2")),
        with_context(*PASSAGES),
    ),
    "MedMCQA": (beside(rows(question=Q, cop=GOLD, exp="xyz"), columns("opa", "opb", "opc")), PLAIN),
    "choices by their letters": (
        rows(question=Q, options=[dict(zip("ABC", c, strict=True)) for c in C], answer_idx="ABC"),
        PLAIN,
    ),
    "a context that the choices go on with": (
        rows(context=PASSAGES, choices=LISTS, answer=GOLD),
        with_context(*PASSAGES, items=[Item("", c, gold) for c, gold in zip(C, GOLD, strict=True)], continued=True),
    ),
    "numbered columns, of unequal number": (
        beside(rows(question=Q, answer="124"), [{"option1": "x", "option2": "y", "option3": third, "option4": fourth}
                                               for third, fourth in (("", ""), ("z", None), ("z", "w"))]),
        [Item(Q[0], ("x", "y"), 0), Item(Q[1], ("x", "y", "z"), 1), Item(Q[2], ("x", "y", "z", "w"), 3)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("schema", KNOWN)
def test_schemas(schema: str) -> None:
    given, wanted = KNOWN[schema]
    assert items_of(given) == wanted


@pytest.mark.parametrize("schema", ["MMLU in a CSV, by letters", "social_i_qa", "WinoGrande", "COPA", "RACE"])
def test_schemas_in_a_csv(schema: str, tmp_path: Path) -> None:
    """Every cell is text there, and a list is its JSON."""
    given, wanted = KNOWN[schema]
    with (tmp_path / "test.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [*given[0]])
        table.writeheader()
        for row in given:
            table.writerow({name: json.dumps(cell) if isinstance(cell, list) else cell for name, cell in row.items()})
    found = load(str(tmp_path / "test.csv"))
    every = (*found.train, *found.held_out, *found.judged)
    assert sorted(every, key=repr) == sorted(wanted, key=repr)


def test_sciq_puts_the_correct_answer_at_a_place_that_the_question_draws() -> None:
    given = beside(
        rows(question=[f"{q} {n}" for n in range(40) for q in Q], support=PASSAGES * 40, correct_answer=["3"] * 120),
        rows(distractor1=["1"] * 120, distractor2=["2"] * 120, distractor3=["0"] * 120),
    )
    found = items_of(given)
    assert {item.choices[item.gold] for item in found} == {"3"}
    assert {tuple(c for c in item.choices if c != "3") for item in found} == {("1", "2", "0")}
    assert [item.context for item in found] == list(PASSAGES) * 40
    counts = [sum(item.gold == place for item in found) for place in range(4)]
    assert min(counts) > 15  # of 30 expected
    assert items_of(given[::-1]) == found[::-1]
    assert "drawn" in told_of(given)


@pytest.mark.parametrize(
    ("schema", "unused"),
    [
        ("MMLU", "'subject'"),
        ("MMLU-Pro", "'answer_index'"),
        ("CommonsenseQA", "'question_concept'"),
        ("SWAG", "'gold-source'"),
        ("RACE", "'example_id'"),
        ("MedMCQA", "'exp'"),
    ],
)
def test_columns_that_are_not_used_are_named(schema: str, unused: str) -> None:
    assert f"not used: the column {unused}" in told_of(KNOWN[schema][0])


@pytest.mark.parametrize(
    "schema",
    ["OpenBookQA", "HellaSwag", "COPA", "WinoGrande", "social_i_qa", "DREAM", "BoolQ"],
)
def test_nothing_is_unused_where_everything_is_read(schema: str) -> None:
    told = told_of(KNOWN[schema][0])
    assert "not used" not in told
    assert f"schema of {schema.split()[0]}" in told


def test_a_column_of_the_context_can_be_named(tmp_path: Path) -> None:
    given = rows(question=Q, background=PASSAGES, hint="xyz", choices=LISTS, answer=GOLD)
    assert [item.context for item in items_of(given)] == list(PASSAGES)
    assert [item.context for item in items_of(given, context_column="hint")] == ["x", "y", "z"]
    assert "'background'" in told_of(given, context_column="hint")
    for schema, column in (("COPA", "premise"), ("RACE", "article"), ("OpenBookQA", "fact1"), ("SWAG", "sent1")):
        assert items_of(KNOWN[schema][0], context_column=column) == KNOWN[schema][1]
    with pytest.raises(TableError, match=r"no column 'hints'.*background"):
        items_of(given, context_column="hints")


def test_names_of_columns_need_no_case_spaces_or_hyphens() -> None:
    names = {"Question Stem": "Red is a", "Answer-Key": "B", "Option A": "sea", "Option B": "brick"}
    assert items_of([names]) == [Item("Red is a", ("sea", "brick"), 1, "", True)]


def test_ten_columns_stand_in_the_order_of_their_numbers() -> None:
    (item,) = items_of([{"question": "?", **{f"option{n}": f"text {n}" for n in range(10, 0, -1)}, "answer": 10}])
    assert item.choices == tuple(f"text {n}" for n in range(1, 11))
    assert item.gold == 9


def test_a_column_that_holds_nothing_gives_way() -> None:
    cells = {"Question": None, "question": "Which?", "choices": None, "A": "x", "B": "y", "label": -1, "answer": "B"}
    assert items_of([cells]) == [Item("Which?", ("x", "y"), 1)]
    letters = {"question": "Which?", "choice": "B", "A": "x", "B": "y", "answer": "B"}
    assert items_of([letters]) == [Item("Which?", ("x", "y"), 1)]


def test_an_unnamed_column_is_no_part_of_a_question() -> None:
    (item,) = items_of([{"": "7", "question": "Which?", "A": "x", "B": "y", "answer": "B"}])
    assert item == Item("Which?", ("x", "y"), 1)
