"""Multiple-choice questions, from files or the Hub: read whatever the schema, repaired where that can be stated.

Known schemas: CommonsenseQA and ARC (``question``, ``choices{label,text}``, ``answerKey``), OpenBookQA
(``question_stem``), SWAG (``sent1``, ``sent2``, ``ending0`` …, ``label``), HellaSwag (``ctx``, ``endings``), and plain
rows of ``question``, ``choices`` (a list) and ``answer`` (a label, an index from 0 or the text), ``context`` if any.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data import sources
from data.sources import Raw, TableError

__all__ = ["BUNDLED", "ChoiceData", "Item", "TableError", "load"]

BUNDLED = "everyday"
FEWEST, MOST = 2, 10  # choices of an item
LONGEST = 8_000  # characters of a question or a context that are kept
HELD_OUT_SHARE, FEWEST_HELD_OUT = 0.1, 24  # of a small set up to a quarter, since few items tell little
JUDGED_SHARE = 0.3
LETTERS = "ABCDEFGHIJ"
_QUESTIONS = ("question", "question_stem", "stem", "query", "prompt", "sent2", "ctx")
_CHOICES = ("choices", "endings", "options", "answers")
_GOLD = ("answerKey", "answer_key", "answer", "label", "gold", "correct")
_CONTEXTS = ("context", "passage", "support", "sent1")
_NUMBERED = re.compile(r"(?:choice|ending|option|answer)_?(\d+)|([A-J])")
_CONTINUED = frozenset({"question_stem", "sent2", "ctx"})


@dataclass(frozen=True)
class Item:
    """One question. ``continued`` says that the choices go on with the question's own sentence."""

    question: str
    choices: tuple[str, ...]
    gold: int
    """place of the right choice; -1 when nobody said"""
    context: str = ""
    continued: bool = False

    @property
    def stem(self) -> str:
        """Context and question, as one text."""
        return f"{self.context} {self.question}".strip()


@dataclass(frozen=True)
class ChoiceData:
    """Questions ready for ranking: two splits to train with and one that is judged."""

    name: str
    source: str
    train: tuple[Item, ...]
    held_out: tuple[Item, ...]
    """to stop training by; never judged"""
    judged: tuple[Item, ...]
    judged_split: str
    """what the judged split is called where it comes from"""
    checks: tuple[str, ...]
    repairs: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of every item, split by split."""
        digest = hashlib.sha256()
        for part in (self.train, self.held_out, self.judged):
            digest.update(len(part).to_bytes(8, "little"))
            for item in part:
                for text in (item.context, item.question, *item.choices):
                    content = text.encode("utf-8", "replace")
                    digest.update(len(content).to_bytes(8, "little") + content)
                digest.update(bytes([item.gold, item.continued]))
        return digest.hexdigest()


def load(name: str, *, limit: int = 0, seed: int = 1337, unreachable: Callable[[], str] = lambda: "") -> ChoiceData:
    """The questions that ``name`` names: ``everyday`` (bundled), a file, a folder with a file a split, or the Hub's.

    ``limit`` keeps at most so many items of each split. ``unreachable`` says why the Hub cannot be asked, or nothing.
    An item that cannot be used is left out and told in ``repairs``. Raises :class:`TableError` when none is left.
    """
    raw, source = _read(name, unreachable)
    repairs = list(raw.repairs)
    splits = {split: items for split, rows in raw.splits.items() if (items := _items(split, rows, repairs))}
    if not splits:
        raise TableError(f"{name} holds no question that can be used: " + ("; ".join(repairs) or "it is empty"))
    judged_split = next((split for split in ("test", "validation") if split in splits), "")
    judged = splits.pop(judged_split, [])
    train = splits.get("train", [])
    if not judged:
        judged_split = "train"
        train, judged = _aside(train, JUDGED_SHARE, f"{seed}/judged")
        repairs.append(f"no validation or test split with answers: {len(judged):,} items of train are judged instead")
    held = splits.get("validation", [])
    if not held and len(train) > 1:
        share = max(HELD_OUT_SHARE, min(0.25, FEWEST_HELD_OUT / len(train)))
        train, held = _aside(train, share, f"{seed}/held-out")
        repairs.append(f"{len(held):,} items of train are held out to stop training by ({judged_split} is only judged)")
    if limit > 0:
        train, held, judged = (_sample(part, limit, seed) for part in (train, held, judged))
    checks = _checks(train, judged)
    return ChoiceData(
        name, source, tuple(train), tuple(held), tuple(judged), judged_split, tuple(checks), tuple(repairs)
    )


def item_from(row: Mapping[str, Any]) -> Item:
    """The item that a row of any known schema describes; its gold is -1 if it has none.

    Raises :class:`ValueError`, which says what is wrong with it.
    """
    nested = row.get("question")
    if isinstance(nested, Mapping):  # CommonsenseQA and ARC as their authors publish them
        row = {**row, "question": nested.get("stem"), "choices": nested.get("choices")}
    column = next((name for name in _QUESTIONS if isinstance(row.get(name), str) and row[name].strip()), "")
    context = next((row[name] for name in _CONTEXTS if isinstance(row.get(name), str)), "").strip()
    texts, labels = _choices(row)
    texts = [re.sub(r"\s+", " ", text).strip() for text in texts]
    if not column and not context:
        raise ValueError("without a question")
    if len(texts) < FEWEST:
        raise ValueError(f"with {'one choice' if texts else 'no choices'} where it takes two")
    if len(texts) > MOST:
        raise ValueError(f"with more than {MOST} choices")
    if not all(texts):
        raise ValueError("with an empty choice")
    question = str(row.get(column, "")).strip()[:LONGEST]
    return Item(question, tuple(texts), _gold(row, texts, labels), context[-LONGEST:], column in ("", *_CONTINUED))


def _read(name: str, unreachable: Callable[[], str]) -> tuple[Raw, str]:
    raw, source = sources.named(name, "questions", f"{BUNDLED}.jsonl", lambda: _or_bundled(unreachable()))
    return (raw if source.startswith("the Hub") else sources.by_column(raw)), source


def _or_bundled(reason: str) -> str:
    return reason and f"{reason} (questions that are bundled: {BUNDLED})"


def _items(split: str, rows: Sequence[Mapping[str, Any]], repairs: list[str]) -> list[Item]:
    found: list[Item] = []
    wrong: Counter[str] = Counter()
    first: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        try:
            item = item_from(row)
            if item.gold < 0:
                raise ValueError("without an answer")
        except ValueError as error:
            wrong[str(error)] += 1
            first.setdefault(str(error), number)
        else:
            found.append(item)
    repairs += [
        f"{split}: {count:,} item{'s' * (count != 1)} {what} left out, the first is {first[what]:,}"
        for what, count in wrong.items()
    ]
    return found


def _choices(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Texts and labels."""
    given = next((row[name] for name in _CHOICES if row.get(name) is not None), None)
    if isinstance(given, Mapping):
        texts = [str(text) for text in given.get("text") or ()]
        labels = [str(label) for label in given.get("label") or ()]
    elif isinstance(given, Sequence) and not isinstance(given, str):
        rows = [one if isinstance(one, Mapping) else {"text": one} for one in given]
        texts = [str(one.get("text", "")) for one in rows]
        labels = [str(one["label"]) for one in rows if "label" in one]
    else:
        numbered = [(found, name) for name in row if (found := _NUMBERED.fullmatch(name)) and row[name] is not None]
        numbered.sort(key=lambda pair: (int(pair[0][1] or 0), pair[0][2] or ""))
        texts = [str(row[name]) for _, name in numbered]
        labels = []
        while texts and not texts[-1].strip():  # a table's rows are all as long as the longest
            texts.pop()
    return texts, labels if len(labels) == len(texts) else list(LETTERS[: len(texts)])


def _gold(row: Mapping[str, Any], texts: Sequence[str], labels: Sequence[str]) -> int:
    """Place of the right choice by label, text or index from 0; -1 when there is none. Raises :class:`ValueError`."""
    told = next((row[name] for name in _GOLD if row.get(name) not in (None, "")), None)
    if told is None or told == -1 or told == "-1":
        return -1
    spelled = str(int(told)) if isinstance(told, float) and told == int(told) else str(told).strip()
    for known in (labels, [label.upper() for label in labels], texts):
        wanted = spelled.upper() if known is not labels and known is not texts else spelled
        if wanted in known:
            return list(known).index(wanted)
    if spelled.isdecimal() and int(spelled) < len(texts):
        return int(spelled)
    raise ValueError("whose answer is none of the choices")


def _aside(items: Sequence[Item], share: float, seed: str) -> tuple[list[Item], list[Item]]:
    """``items`` without, and with, at most ``share`` of them, drawn by ``seed``; identical questions stay together.

    Where all questions are identical, those with identical choices too do, or each stays by itself.
    """
    if len(items) < 2:
        return [], list(items)
    keys: Sequence[Callable[[Item], Any]] = (_question, _whole, id)
    key = next(key for key in keys if len(set(map(key, items))) > 1)
    groups: dict[Any, list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault(key(item), []).append(place)
    count = min(len(items) - 1, max(1, round(len(items) * share)))
    chosen: set[int] = set()
    for place in random.Random(seed).sample(range(len(items)), count):
        group = groups[key(items[place])]
        if place not in chosen and len(chosen) + len(group) <= count:
            chosen.update(group)
    chosen = chosen or set(sorted(groups.values(), key=len)[0])
    kept, aside = (
        [item for place, item in enumerate(items) if (place in chosen) == wanted] for wanted in (False, True)
    )
    return kept, aside


def _question(item: Item) -> str:
    return item.stem.casefold()


def _whole(item: Item) -> tuple[str, frozenset[str]]:
    """What two items that are one and the same share, in whatever order their choices are."""
    return item.stem.casefold(), frozenset(item.choices)


def _sample(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    if len(items) <= count:
        return list(items)
    return [items[place] for place in sorted(random.Random(f"{seed}/limit").sample(range(len(items)), count))]


def _checks(train: Sequence[Item], judged: Sequence[Item]) -> list[str]:
    """What is worth knowing about the questions before anything is ranked."""
    counts = Counter(len(item.choices) for item in judged)
    spread = " or ".join(str(count) for count in sorted(counts))
    chance = sum(1 / len(item.choices) for item in judged) / len(judged)
    told = [f"{len(train):,} items to train on, {len(judged):,} judged, {spread} choices each, chance {chance:.3f}"]
    places = Counter(item.gold for item in judged)
    shares = ", ".join(f"{LETTERS[place]} {places[place] / len(judged):.0%}" for place in range(max(counts)))
    told.append(f"the right choice stands at {shares}")
    seen = set(map(_whole, train))
    if leaked := sum(_whole(item) in seen for item in judged):
        told.append(f"{leaked:,} judged items are in train too")
    if twins := sum(len(set(map(str.casefold, item.choices))) < len(item.choices) for item in judged):
        told.append(f"{twins:,} judged items have two choices alike, which no ranker can tell apart")
    return told
