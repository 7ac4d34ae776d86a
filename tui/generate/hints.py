"""What F1 explains in the Generate pane: the model, the text and the candidates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.generate import candidate_view as funnel
from tui.generate import status_lines
from tui.generate.candidate_view import Position
from tui.generate.status_lines import Activity
from tui.generate.token_tree import TokenTree
from tui.generate.token_view import LEVELS
from tui.hints import Hint, Row, hints, read

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

VIEWS = read(Path(__file__).with_suffix(".jsonl"))
TEXT = {row.name: row for row in VIEWS["text"]}


def head(lm: LanguageModel, activity: Activity) -> list[Hint]:
    """Of the line about the model."""
    values = status_lines.head_values(lm, activity)
    used, left = activity.context, max(0, lm.context - activity.context)
    full = f"{left:,} are left; then it sees the last ones only." if lm.slides else f"{left:,} are left."
    more = {"precision": lm.precision, "used": f"{used:,}", "all": f"{lm.context:,}", "full": full}
    more["time"] = f"{1000 / activity.speed:,.3g} ms" if activity.speed else ""
    return hints(VIEWS["head"], {**values, **more}, {"bytes": lm.precision})


def text(tree: TokenTree) -> list[Hint]:
    """Of the titles of the text."""
    if not tree.path:
        return []
    (prompt, before), (added, after) = (tree.tally(prompt=mine) for mine in (True, False))
    share = len(tree.text) / len(tree.path)
    sizes = f"{prompt:,} prompt", f"{added:,} completed"
    found = [_hint(TEXT["text"], sizes, prompt=prompt, added=added, share=share)]
    known = [(name, value) for name, value in (("prompt", before), ("completion", after)) if value is not None]
    if drawn := tuple(f"{name} {status_lines.perplexity_of(value)}" for name, value in known):
        found.append(_hint(TEXT["perplexity"], drawn, values=", ".join(drawn)))
    if (place := tree.fork()) is not None:
        branch = "{} of {}".format(*tree.branches(place))
        found.append(_hint(TEXT["branch"], (branch,), place=place, branch=branch))
    return found


def legend(tree: TokenTree) -> list[Hint]:
    """Of the backgrounds."""
    known = [score for score in (tree.nodes[one].logprob for one in tree.path) if score is not None]
    scores = [math.exp(min(0.0, score)) for score in known]
    counts = [sum(low <= one < high for one in scores) for low, high in ((0.5, 2), (0.1, 0.5), (0.01, 0.1), (0, 0.01))]
    values = ", ".join(f"{name}: {count:,}" for name, count in zip(LEVELS, counts, strict=True))
    return [_hint(TEXT["surprise"], LEVELS, values=values)]


def candidates(position: Position, picked: int, height: int) -> list[Hint]:
    """Of the token at the cursor, and of the columns of candidates in ``height`` lines."""
    node, seen, found, place = position.node, position.seen, list[Hint](), position.place
    if node is not None:
        values = {name: value for line in funnel.about(position, node) for name, value in line if name}
        nats = -node.logprob if node.logprob is not None else None
        values["surprise"] = "" if nats is None else f"{nats:.2f} nats = {nats / math.log(2):.2f} bits"
        values["equal"] = f"{math.exp(min(50.0, node.entropy or 0.0)):,.1f}"
        found += [*hints(VIEWS["token"], values), _hint(TEXT["token"], (f"{place:,}",), place=place)]
    elif seen is not None and seen.entropy is not None:
        numbers: dict[str, Any] = {"place": place, "entropy": seen.entropy, "equal": math.exp(min(50.0, seen.entropy))}
        found.append(_hint(TEXT["entropy"], (f"{seen.entropy:.2f} nats",), **numbers))
        found.append(_hint(TEXT["next token"], (f"{place:,}",), **numbers))
    if not position.candidates:
        return found
    first, shown = funnel.rows_of(position, picked, height)
    name = funnel.mark_spaces(shown[picked - first].text)
    columns = zip(*[funnel.row_values(one, position.sampling) for one in shown], strict=True)
    labels = ("model", *funnel.heads(position.sampling))
    for row, label, column in zip(VIEWS["columns"], labels, columns, strict=True):
        cells = [cell.strip() for cell in column]
        if drawn := tuple(filter(None, cells)):
            found.append(_hint(row, drawn, label, name=name, value=cells[picked - first] or "none"))
    if left := len(position.candidates) - first - len(shown):
        found.append(_hint(TEXT["more"], (f"{left:,}",), left=left, least=funnel.SMALLEST))
    kept, lost = funnel.kept_of(position)
    if position.sampling is not None and not position.sampling.greedy and (kept or lost):
        told = ", ".join(filter(None, (kept, lost or "nothing cut")))
        found.append(_hint(TEXT["cuts"], tuple(filter(None, (kept, lost))), "kept" if kept else "cut", values=told))
    return found


def _hint(row: Row, shown: tuple[str, ...], label: str = "", **values: object) -> Hint:
    """What a row says of ``shown``, under its own name or ``label``."""
    return Hint(label or row.name, shown, f"{row.figure} {row.meaning}".format_map(values), row.term)
