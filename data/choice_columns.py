"""Columns of multiple-choice data: which hold the context, the question, its choices and the answer.

The first schema of :data:`data.choice_schemas.SCHEMAS` fits for which every column that it ``needs``, its question and
its choices are there. Names of columns are compared without case, spaces, hyphens and underscores.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from data.choice_schemas import ANSWERS, QUESTIONS, SCHEMAS, Parts, Schema, clean
from data.formats import Row, TableError
from data.sources import columns_of

Cells = Mapping[str, Any]
_TEXTS, _LABELS = ("text", "atext", "choices"), ("label", "labels", "aid")  # keys of a choice
_HEADLESS = dict(zip("123456", ("question", "A", "B", "C", "D", "answer"), strict=True))  # MMLU's own files
_JOINED = {"ctx": ("ctxa", "ctxb"), "inputsentences": tuple(f"inputsentence{number}" for number in range(1, 5))}


@dataclass(frozen=True)
class Columns:
    """The columns of a data set, by the names that they have there; empty for what there is none of."""

    schema: Schema
    context: str
    question: str
    choices: tuple[str, ...]
    """one with lists, or one for each choice"""
    answer: str
    unused: tuple[str, ...] = ()

    @property
    def counted_from(self) -> str:
        """The number in the name of the first choice's column, 0 or 1; empty where there is none."""
        found = re.search(r"[01]$", self.choices[0]) if len(self.choices) > 1 else None
        return found[0] if found else ""

    @property
    def told(self) -> str:
        """Which columns hold what."""
        held = {"context": self.context, "question": self.question, "choices": ", ".join(self.choices)}
        known = [f"{what}: {name}" for what, name in {**held, "answer": self.answer}.items() if name]
        return "; ".join(known) + (f" (schema of {self.schema.name})" if self.schema.name else "")

    def fits(self, rows: Iterable[Cells]) -> bool:
        """Whether there is something to ask and to choose from, be it yes or no."""
        if not (self.question or (self.context and not self.schema.question)):
            return False
        if self.schema.choices:
            return bool(self.choices)
        return bool(self.answer) and all(_is_truth(row.get(self.answer), bool(self.context)) for row in rows)

    def parts(self, row: Cells) -> Parts:
        """The question that a row holds. Raises :class:`ValueError`, which says what is wrong with it."""
        context, question, answer = (
            row.get(name) if name else None for name in (self.context, self.question, self.answer)
        )
        choices, labels = self._choices(row)
        schema, answer = self.schema, _single(answer, len(choices))
        if answer is not None and _missing(answer) and clean(answer) not in choices:
            answer = None
        question, context = _text(question), _text(context)
        if not question and not context:
            raise ValueError("without a question")
        parts = Parts(context, question, choices, labels, answer, schema.continued or not question)
        return schema.shaped(parts) if schema.shaped is not None else parts

    def _choices(self, row: Cells) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Texts of the choices, and their labels."""
        if len(self.choices) != 1:
            texts = [clean(row.get(name)) for name in self.choices]
            while texts and not texts[-1]:  # a table's rows are all as long as the longest
                texts.pop()
            return tuple(texts), self.choices[: len(texts)]
        given = _listed(row.get(self.choices[0]))
        labels: Sequence[Any] = ()
        if isinstance(given, dict) and (texts := _of(given, _TEXTS)) is not None:
            labels, given = _of(given, _LABELS) or (), texts
        elif isinstance(given, dict):  # {"A": …, "B": …}
            labels, given = [*given], [*given.values()]
        elif isinstance(given, list) and any(isinstance(one, dict) for one in given):
            given = [one if isinstance(one, dict) else {"text": one} for one in given]
            labels = [label for one in given if (label := _of(one, _LABELS)) is not None]
            given = [_of(one, _TEXTS) for one in given]
        if not isinstance(given, list) or any(isinstance(one, list | dict) for one in given):
            return (), ()
        return tuple(map(clean, given)), tuple(map(str, labels)) if len(labels) == len(given) else ()


def find(rows: Sequence[Cells], apart: Collection[str] = (), context: str = "") -> Columns:
    """The first schema that fits the columns of ``rows`` but those ``apart``; ``context`` names a column of its own.

    Without choices, ``choices`` is empty. Raises :class:`TableError` for a context that there is no column for.
    """
    columns = [name for name in columns_of(rows) if name not in apart]
    if context and context not in columns:
        raise TableError(f"there is no column {context!r} for the context; there are: {', '.join(columns)}")
    some = {name: next((row[name] for row in rows if not _missing(row.get(name))), None) for name in columns}
    filled = {name for name in columns if some[name] is not None}
    lists = {name for name in filled if isinstance(_listed(some[name]), dict | list)}
    # Of two that are called alike, the one that holds something.
    names = {_plain(name): name for name in sorted(columns, key=lambda name: name in filled)}
    by_name = {plain: name for plain, name in names.items() if plain and name != context}
    for schema in SCHEMAS:
        if not names.keys() >= {*schema.needs}:
            continue
        question, choices = _first(schema.question, by_name, filled), _numbered(schema.choices, by_name, lists)
        answer = _first(ANSWERS, by_name, filled, {question, *choices})
        placed = context or _first(schema.context, by_name, filled, {question, answer, *choices})
        found = Columns(schema, placed, question, choices, answer)
        if found.fits(rows):
            break
    else:
        found = Columns(Schema(""), context, _first(QUESTIONS, by_name, filled), (), "")
    used = {found.context, found.question, found.answer, *found.choices}
    return replace(found, unused=tuple(name for name in columns if name not in used))


def flattened(rows: Sequence[Row]) -> Sequence[Row]:
    """Rows of which each asks one question in columns of its own.

    CommonsenseQA's and ARC's authors nest stem and choices in the question; RACE's and DREAM's list all questions of a
    text. Columns that are parts of one text (ctx_a and ctx_b of HellaSwag, the sentences of StoryCloze) become one.
    """
    made: Callable[[Row], Iterable[Cells]]
    names = {_plain(name): name for name in (rows[0] if rows else ())}
    parts = next((whole for whole in _JOINED if whole not in names and names.keys() & {*_JOINED[whole]}), "")
    if any(isinstance(row.get("question"), dict) for row in rows):
        made = _unnested
    elif any(isinstance(row.get("questions"), list) for row in rows):
        made = _asked
    elif [*names.values()] == [*_HEADLESS]:
        made = lambda row: [{_HEADLESS.get(name, name): value for name, value in row.items()}]  # noqa: E731
    elif parts:
        made = lambda row: [_joined(parts, [names[one] for one in _JOINED[parts] if one in names], row)]  # noqa: E731
    else:
        return rows
    return [Row(cells, row.file, row.line) for row in rows for cells in made(row)]


def _joined(whole: str, parts: Sequence[str], row: Cells) -> Cells:
    text = " ".join(filter(None, (_text(row.get(name)) for name in parts)))
    return {**{name: value for name, value in row.items() if name not in parts}, whole: text}


def _unnested(row: Cells) -> Iterator[Cells]:
    nested = row.get("question")
    inner = {"stem": "", **nested}.items() if isinstance(nested, dict) else ()
    yield {**row, **{"question" if name == "stem" else name: value for name, value in inner}}


def _asked(row: Cells) -> Iterator[Cells]:
    """The questions of an article, one by one, each with its own columns; what they lack is missing there too."""
    if not isinstance(row.get("questions"), list):
        yield row
        return
    asked = {name: row[name] for name in ("questions", "options", "answers") if isinstance(row.get(name), list)}
    rest = {name: value for name, value in row.items() if name not in asked}
    names = {"questions": "question", "options": "options", "answers": "answer"}
    for cells in itertools.zip_longest(*asked.values()):
        one = {names[name]: cell for name, cell in zip(asked, cells, strict=True)}
        yield rest | (one | one["question"] if isinstance(one["question"], dict) else one)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _first(names: str, by_name: Mapping[str, str], filled: Collection[str], taken: Collection[str] = ()) -> str:
    """The column of the first of ``names``; of those that hold anything, if one does."""
    there = [by_name[name] for name in names.split("|") if name in by_name and by_name[name] not in taken]
    return next((name for name in there if name in filled), there[0] if there else "")


def _numbered(names: str, by_name: Mapping[str, str], lists: Collection[str]) -> tuple[str, ...]:
    """The columns of the choices: one of those with lists, or several that are numbered or lettered."""
    for name in filter(None, names.split("|")):
        if not name.endswith("#"):
            if by_name.get(name) in lists:
                return (by_name[name],)
            continue
        pattern = re.compile(f"{name[:-1]}({'[0-9]{1,2}|' * (name != '#')}[a-j])")
        numbers = [(found[1], own) for plain, own in by_name.items() if (found := pattern.fullmatch(plain))]
        if {number for number, _ in numbers} >= {"a", "b"} or sum(number.isdecimal() for number, _ in numbers) > 1:
            return tuple(own for _, own in sorted(numbers, key=lambda pair: (len(pair[0]), pair[0])))
    return ()


# -- cells -----------------------------------------------------------------------------------------------------------


def _single(answer: Any, choices: int) -> Any:
    """The only answer of a list, or the place of the only 1 in one that marks every choice."""
    if not isinstance(answer, list):
        return answer
    marks = [*map(clean, answer)]
    if len(marks) == choices and sorted(marks) == ["0"] * (choices - 1) + ["1"]:
        return marks.index("1")
    return answer[0] if len(answer) == 1 else answer


def _of(choice: Cells, keys: Iterable[str]) -> Any:
    """What stands under the first of some keys; None where there is none of them."""
    return next((choice[key] for key in keys if key in choice), None)


def _missing(value: Any) -> bool:
    """Whether a cell holds nothing: -1 is how the Hub's test splits say so."""
    if isinstance(value, str):
        return not value or value == "-1" or value.isspace()
    return value is None or value == -1 or (isinstance(value, float) and not math.isfinite(value))


def _is_truth(value: Any, number: bool) -> bool:
    """Whether a cell says yes or no, or nothing; with ``number``, 1 and 0 do too."""
    words = ("true", "false", "yes", "no", *("1", "0") * number)
    return isinstance(value, bool) or _missing(value) or str(value).strip().casefold() in words


def _text(value: Any) -> str:
    """A question or a context; the turns of a dialogue are its lines."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict | list):
        return "\n".join(map(_text, value.values() if isinstance(value, dict) else value))
    return clean(value)


def _listed(value: Any) -> Any:
    """Choices of a CSV, where a list is a text, or those of MathQA: "a ) one , b ) two"."""
    if isinstance(value, str) and re.match(r"a \) .*, b \) ", value):
        return re.split(r" ?(?:, )?\b[a-e] \) ", value)[1:]
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value
