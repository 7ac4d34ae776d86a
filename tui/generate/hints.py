"""What F1 explains in the Generate pane: the model, the text and the candidates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from tui.generate import candidate_view as funnel
from tui.generate import status_lines
from tui.generate.candidate_view import Position
from tui.generate.status_lines import Activity
from tui.generate.token_tree import TokenTree
from tui.generate.token_view import LEVELS
from tui.hints import Hint, hints, read

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

VIEWS = read(Path(__file__).with_suffix(".jsonl"))


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
    told = (
        f"The text has {prompt:,} tokens of your prompt and {added:,} of the model. A token has {share:.2f} characters."
    )
    found = [Hint("text", (f"{prompt:,} prompt", f"{added:,} completed"), told, "token")]
    drawn = [
        (name, status_lines.perplexity_of(value))
        for name, value in (("prompt", before), ("completion", after))
        if value is not None
    ]
    if drawn:
        values = ", ".join(f"{name} {value}" for name, value in drawn)
        told = f"Perplexity, e to the mean surprisal in nats: {values}. The model is as uncertain as among that many"
        shown = tuple(f"{name} {value}" for name, value in drawn)
        found.append(Hint("perplexity", shown, f"{told} equally probable tokens.", "perplexity"))
    if (place := tree.fork()) is not None:
        now, of = tree.branches(place)
        told = f"At position {place:,} the text takes branch {now} of {of}. [ and ] switch between them."
        found.append(Hint("branch", (f"{now} of {of}",), told))
    return found


def legend(tree: TokenTree) -> list[Hint]:
    """Of the backgrounds."""
    scores = [
        math.exp(min(0.0, score)) for score in (tree.nodes[one].logprob for one in tree.path) if score is not None
    ]
    counts = [sum(low <= one < high for one in scores) for low, high in ((0.5, 2), (0.1, 0.5), (0.01, 0.1), (0, 0.01))]
    told = ", ".join(f"{name}: {count:,}" for name, count in zip(LEVELS, counts, strict=True))
    text = f"The stronger the background, the less probable the token under the model; tokens of this text with {told}."
    return [
        Hint("surprise", LEVELS, f"{text} A surprising token may be an error of the text or of the model.", "surprise")
    ]


def candidates(position: Position, picked: int, height: int) -> list[Hint]:
    """Of the token at the cursor, and of the columns of candidates in ``height`` lines."""
    node, seen, found = position.node, position.seen, list[Hint]()
    if node is not None:
        values = {name: value for line in funnel.about(position, node) for name, value in line if name}
        surprise = (
            f"{-node.logprob:.2f} nats = {-node.logprob / math.log(2):.2f} bits" if node.logprob is not None else ""
        )
        values |= {"surprise": surprise, "equal": f"{math.exp(min(50.0, node.entropy or 0.0)):,.1f}"}
        found += hints(VIEWS["token"], values)
        told = f"The token stands at position {position.place:,} of the text. ←→ walk along the tokens."
        found.append(Hint("token", (f"{position.place:,}",), told, "token"))
    elif seen is not None and seen.entropy is not None:
        told = f"At position {position.place:,} the model's distribution has an entropy of {seen.entropy:.2f} nats."
        equal = f"It is as uncertain as among {math.exp(min(50.0, seen.entropy)):,.1f} equally probable tokens."
        found.append(Hint("entropy", (f"{seen.entropy:.2f} nats",), f"{told} {equal}", "entropy"))
        found.append(
            Hint("next token", (f"{position.place:,}",), f"{told} Enter adds the selected candidate.", "token")
        )
    if not position.candidates:
        return found
    first, shown = funnel.rows_of(position, picked, height)
    rows = [funnel.row_values(one, position.sampling) for one in shown]
    here = rows[picked - first]
    name = funnel.mark_spaces(shown[picked - first].text)
    tempered, last = funnel.heads(position.sampling)
    columns = (
        ("model", "under the model, in percent", "The bars are proportional to it.", "softmax"),
        (
            tempered,
            "after temperature, in percent",
            "Below 1 the probable tokens gain, above 1 the others.",
            "temperature",
        ),
        (last, "after the cuts, in percent", "What a setting has cut names that setting and is not drawn.", "top-p"),
    )
    for place, (label, what, meaning, term) in enumerate(columns):
        if any(row[place].strip() for row in rows):
            told = f"Probability of each candidate {what}: “{name}” has {here[place].strip() or 'none'}. {meaning}"
            found.append(Hint(label, tuple(row[place].strip() for row in rows if row[place].strip()), told, term))
    if left := len(position.candidates) - first - len(shown):
        told = f"{left:,} further candidates are less probable. Those below {funnel.SMALLEST:.2%} have no line."
        found.append(Hint("more", (f"{left:,}",), told))
    kept, lost = funnel.kept_of(position)
    if position.sampling is not None and not position.sampling.greedy and (kept or lost):
        told = f"The settings: {', '.join(filter(None, (kept, lost or 'nothing cut')))}."
        found.append(
            Hint(
                "kept" if kept else "cut",
                tuple(filter(None, (kept, lost))),
                f"{told} Percent of the probability after temperature.",
                "top-p",
            )
        )
    return found
