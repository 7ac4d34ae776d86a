"""Which runs of a list to show, and in which order: ``preset:nano best<1.8``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from engine.runs.listing import Summary, figure
from engine.runs.spec import BadSpec, Problem

_TERM = re.compile(r"([a-z][a-z0-9_-]*)(<=|>=|!=|<|>|=|:)(.*)", re.IGNORECASE | re.DOTALL)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip
_WORDS = ("name", "title", "tags", "task", "state", "corpus", "preset", "method", "parent")
_ORDER = ("train", "classify", "choose", "retrieve")
ALIASES = {
    "data": "corpus",
    "model": "preset",
    "encoder": "preset",
    "pooling": "preset",
    "loss": "best_val_loss",
    "tag": "tags",
}
"""other names of what is known of a run"""
SORTS = ("newest", "best", "name", "task", "state", "steps", "size")
"""orders of a list; ``best`` is by task, the best run first, runs without a figure last"""


def best(summary: Summary) -> float | None:
    """The best figure of a run: nDCG@10, accuracy, or the validation loss in nats per character."""
    known = (summary.ndcg, summary.accuracy, summary.best_val_loss)
    return next((one for one in known if one is not None), None)


def value(summary: Summary, field: str) -> Any:
    """What a run has for the name of a figure, or of a field of its spec; None where it has no such thing."""
    name = ALIASES.get(field.lower(), field.lower()).replace("-", "_")
    if name == "best":
        return best(summary)
    if name == "bits":
        return None if summary.best_val_loss is None else summary.best_val_loss / math.log(2)
    return getattr(summary, name) if name in Summary.__dataclass_fields__ else summary.spec.get(name)


def matching(text: str) -> Callable[[Summary], bool]:
    """Whether a run has all that ``text`` asks for, in terms that are separated by spaces.

    ``word`` must be in the run's name, title, tags, task, state, data, preset, best method or parent; ``field:word`` in
    that field; and ``field<number``, also with ``<=``, ``>``, ``>=``, ``=`` and ``!=``, compares. Fields are those of
    the list (:class:`engine.runs.listing.Summary`, ``best``, ``bits``) and of the run's spec. Case does not matter.

    Raises :class:`BadSpec` for a comparison without a number.
    """
    terms = [_term(term) for term in text.split()]
    return lambda summary: all(term(summary) for term in terms)


def _term(term: str) -> Callable[[Summary], bool]:
    found = _TERM.fullmatch(term)
    if found is None:
        word = term.lower()
        return lambda summary: any(word in str(getattr(summary, name)).lower() for name in _WORDS)
    field, sign, wanted = found.groups()
    if sign == ":" or (sign in ("=", "!=") and _number(wanted) is None):
        return lambda summary: (wanted.lower() in _text(value(summary, field))) == (sign != "!=")
    number, compare = _number(wanted), _COMPARE[sign]
    if number is None:
        raise BadSpec([Problem("filter", f"{term}: there is no number after {sign}")])

    def holds(summary: Summary) -> bool:
        known = figure(value(summary, field))
        return known is not None and compare(known, number)

    return holds


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "").removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(known: Any) -> str:
    return "" if known is None else str(known).lower()


def ordered(summaries: Iterable[Summary], by: str) -> list[Summary]:
    """The runs, which come newest first, in one of the :data:`SORTS`; of equals the newest first.

    Raises :class:`BadSpec` for another name.
    """
    if by not in SORTS:
        raise BadSpec([Problem("sort", f"{by!r} is not one of {', '.join(SORTS)}")])
    found = list(summaries)
    if by == "newest":
        return found
    if by == "best":
        return sorted(found, key=_rank)
    if by in ("steps", "size"):
        return sorted(found, key=lambda summary: -(summary.step if by == "steps" else summary.size or 0))
    return sorted(found, key=lambda summary: str(getattr(summary, by)).lower())


def _rank(summary: Summary) -> tuple[int, float]:
    """By task, then the best figure first; a loss is better when it is smaller."""
    task = _ORDER.index(summary.task) if summary.task in _ORDER else len(_ORDER)
    known = best(summary)
    return task, math.inf if known is None else known if summary.task == "train" else -known
