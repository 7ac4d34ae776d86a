"""The form of a comparison on multiple-choice questions, and a look at the questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from data.choices import EXAMPLES, LETTERS, Item, TableError, load
from data.hub import Fetched
from engine.choose.spec import ChooseSpec
from engine.runs.spec import typed
from tui.follow.comparison_form import CompareForm, Seen, rows_to_read
from tui.text import safe

SHOWN = 300  # characters of a context or a question


@dataclass(frozen=True)
class SeenItems(Seen):
    """Questions, with the first of them."""

    first: tuple[Item, ...] = ()

    def samples(self) -> list[Content]:
        lines = []
        for item in self.first:
            context = [Content.styled(safe(item.context[:SHOWN], lines=False), "$foreground 60%")] * bool(item.context)
            lines += [Content(""), *context, Content.styled(safe(item.question[:SHOWN], lines=False), "bold")]
            for place, choice in enumerate(item.choices):
                mark = "✓" if place == item.gold else " "
                lines.append(Content(f" {mark} {LETTERS[place]} {safe(choice[:100], lines=False)}"))
        return lines


def _seen(values: Mapping[str, str], fetched: Fetched | None) -> SeenItems:
    """What the questions of these values are; of the Hub's if their files are given."""
    given = typed(ChooseSpec, values)
    limit, seed = (int(given[field]) if given[field].isdecimal() else 0 for field in ("limit", "seed"))
    meant = {field: given[field] for field in ("answer_base", "context_column", "encoding")}
    most, note = rows_to_read(given["data"])
    try:
        data = load(given["data"], **meant, most=most, limit=limit, seed=seed, fetched=fetched)
    except TableError as error:
        return SeenItems(problem=str(error))
    if fetched is not None and fetched.bytes:  # counts of the first rows tell nothing
        return SeenItems(data.source, checks=data.read, first=data.judged[:EXAMPLES])
    checks = (*data.read, *data.checks)
    return SeenItems(data.source, checks=checks, repairs=data.repairs, note=note, first=data.judged[:EXAMPLES])


class ChooseForm(CompareForm):
    """With the first question beside the fields."""

    DEFAULT = ChooseSpec()
    PREFIX = "ch-"
    FILE = "choose.json"
    NOTHING = SeenItems()
    LOOKED_AT = ("data", "answer_base", "context_column", "encoding", "limit", "seed")
    EXPLAINED = (
        "Every method scores the choices and picks the highest. Zero-shot: the probability of the choice after the "
        "question under a causal language model. Margin and cross-entropy: a small scorer on features of a frozen "
        "encoder. Fine-tuning trains the whole encoder: usually best, and by far the slowest without a GPU. Chance, "
        "the longest choice and the question hidden are always included as baselines."
    )

    see = staticmethod(_seen)
