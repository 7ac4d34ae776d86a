"""Questions as a list to browse, and one of them with what every method gives to each choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.text import Text
from textual.strip import Strip

from data.choices import LETTERS, Item
from engine.runs.events import ItemJudged
from tui.choose.story import ChooseStory, chosen, disagree, lead, listed
from tui.choose.views import COLOURS, SHORT, ViewState
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import BAD, DIM, FAIR, GOOD, TITLE, bar, fit, side_by_side, strip, strips, wrap

BESIDE = 110  # columns from which list and question stand side by side
COLUMN, NUMBER = 16, 8  # cells of one method's scores at most, and at least
TOKENS = 36  # cells beside the ways of counting below which tokens get lines of their own
_PROBABLE = ((0.5, "bright_blue"), (0.1, "bright_cyan"), (0.01, "bright_yellow"), (0.0, "bright_red"))
WAYS = ("sum", "token", "character", "pmi")


def questions(
    story: ChooseStory, items: Sequence[Item], method: str, state: ViewState, width: int, height: int
) -> list[Strip]:
    """The list above or to the left, and the question under the cursor."""
    found = listed(story, method, state.kept, state.order)
    if not found or not items:
        return _nothing(story, method, state, width)
    here = found[state.within(len(found))]
    item = items[here.item] if here.item < len(items) else None
    ranked = {name: each.ranked[here.item] for name, each in story.methods.items() if here.item in each.ranked}
    if state.reading:
        return card(item, ranked, method, width, height)
    if width >= BESIDE:
        left = min(56, width // 2 - 4)
        rows = _list(found, items, state, left, height)
        beside = card(item, ranked, method, width - left - 2, height)
        columns = [(rows, left), ([], 2), (beside, width - left - 2)]
        return side_by_side(columns, min(height, max(len(rows), len(beside))))
    above = max(4, min(len(found) + 1, height // 3))
    return [
        *_list(found, items, state, width, above),
        strip(Text("─" * width, DIM), width),
        *card(item, ranked, method, width, height - above - 1),
    ]


def card(
    item: Item | None,
    ranked: Mapping[str, ItemJudged],
    method: str,
    width: int,
    height: int,
    moved: Mapping[str, Sequence[int]] | None = None,
) -> list[Strip]:
    """A question and its choices, a column of scores for each method; under it the tokens that zero-shot counted.

    ``moved`` tells for each method by how many ranks every choice went up since the last look.
    """
    if item is None:
        return [strip(Text("the text of this question is not there any more", DIM), width)]
    lines: list[Text] = []
    if item.context:
        lines += wrap(Text(safe(item.context, lines=False), DIM), width)[:4]
    if item.question:
        lines += wrap(Text(safe(item.question, lines=False), "bold bright_white"), width)
    names = [name for name in ranked if len(ranked[name].scores) == len(item.choices)]
    name_room = max(14, min(max(len(choice) for choice in item.choices) + 5, width // 3))
    while len(names) > 1 and (width - name_room) // len(names) - 2 < NUMBER:  # the one that is looked at stays
        names.remove(next(name for name in reversed(names) if name != method))
    cells = max(NUMBER, min(COLUMN, (width - name_room) // max(1, len(names)) - 2))
    lines.append(Text(""))
    head = Text(" " * name_room)
    for name in names:
        style = f"bold {COLOURS.get(name, '')}" + (" underline" if name == method else "")
        head.append("  ").append(f"{SHORT.get(name, name)[:cells]:<{cells}}", style)
    lines.append(head)
    for place, choice in enumerate(item.choices):
        right = place == item.gold
        line = Text()
        line.append("✓ " if right else "  ", f"bold {GOOD}")
        line.append(fit(f"{LETTERS[place]} {choice}", name_room - 2), f"bold {GOOD}" if right else "")
        for name in names:
            line.append("  ")
            line.append_text(cell(ranked[name].scores, place, item.gold, cells, COLOURS.get(name, "")))
            if moved and (by := list(moved.get(name, ()))[place : place + 1]) and by[0]:
                line.append(f"{'▲' if by[0] > 0 else '▼'}{abs(by[0])}", GOOD if by[0] > 0 else BAD)
        lines.append(line)
    lines += _said(item, ranked, names, width)
    if "zero-shot" in ranked:
        lines += _zero_shot(item, ranked["zero-shot"], width)
    return strips(lines, width, height)


def _said(item: Item, ranked: Mapping[str, ItemJudged], names: Sequence[str], width: int) -> list[Text]:
    """Who is right, and by how much: in one line where it fits, else a line each."""
    found = []
    for name in names:
        event = ranked[name]
        best = chosen(event.scores)
        if best < 0:
            found.append(Text(f"{SHORT.get(name, name)} not scored", DIM))
            continue
        ordered = sorted(event.scores, reverse=True)
        text = Text.assemble((f"{SHORT.get(name, name)} ", COLOURS.get(name, "")))
        if item.gold < 0:
            text.append(LETTERS[best], "bold")
        else:
            text.append(f"{'✓' if best == item.gold else '✗'} {LETTERS[best]}", GOOD if best == item.gold else BAD)
        found.append(text.append(f" by {ordered[0] - ordered[1]:.3g}", DIM))
    together = Text("   ").join(found)
    return [together] if together.cell_len <= width else found


def _zero_shot(item: Item, event: ItemJudged, width: int) -> list[Text]:
    """Four ways of counting, side by side, and each choice's tokens."""
    ways = [way for way in WAYS if len(event.ways.get(way) or ()) == len(item.choices)]
    if not ways:
        return []
    title = Text("zero-shot, ways of counting", TITLE)
    if disagree(event):
        title.append("  ≠ they disagree", f"bold {FAIR}")
    lines = [Text(""), title]
    head = Text("   ")
    for way in ways:
        head.append(f"{way:>10}", DIM)
    beside = width - head.cell_len - 3 >= TOKENS
    lines.append(head.append("   tokens, coloured by probability" if beside else "", DIM))
    spelled = tokens(event.strips, width - 3 - head.cell_len * beside)
    winners = {way: chosen(event.ways[way]) for way in ways}
    below: list[Text] = []
    for place in range(len(item.choices)):
        line = Text().append(f" {LETTERS[place]} ", f"bold {GOOD}" if place == item.gold else "")
        for way in ways:
            style = (GOOD if place == item.gold else BAD) if item.gold >= 0 else "bright_white"
            won = winners[way] == place
            line.append(f"{number(_real(event.ways[way][place])):>10}", f"bold {style}" if won else DIM)
        if place < len(spelled) and beside:
            line.append("   ").append_text(spelled[place])
        elif place < len(spelled):
            below.append(Text(f" {LETTERS[place]} ", DIM).append_text(spelled[place]))
        lines.append(line)
    return lines + below


def shares(scores: Sequence[float]) -> list[float]:
    """Scores as shares of one (softmax)."""
    top = max(scores)
    if not math.isfinite(top):
        return [1 / len(scores)] * len(scores)
    raised = [math.exp(score - top) if math.isfinite(score) else 0.0 for score in scores]
    return [one / sum(raised) for one in raised]


def number(score: float) -> str:
    """A score in seven cells."""
    return f"{score:7.3f}" if abs(score) < 100 else f"{score:7.1f}" if math.isfinite(score) else "      –"


def cell(scores: Sequence[float], place: int, gold: int, cells: int, colour: str) -> Text:
    """One score with its share among the choices as a bar; the chosen one is bold, and right or wrong when known."""
    best = max(range(len(scores)), key=lambda other: (scores[other], -other))
    here = place == best
    style = (GOOD if place == gold else BAD if gold >= 0 else "bright_white") if here else DIM
    text = Text()
    text.append(number(scores[place]), f"bold {style}" if here else style)
    if cells > 8:
        text.append(" ").append(bar(shares(scores)[place], cells - 8), colour if here else DIM)
    return text


def tokens(strips: Sequence[Sequence[Sequence[object]]], room: int) -> list[Text]:
    """The tokens of every choice in the colour of their probability: blue was expected, red and underlined a surprise.

    Their log-probabilities stand beside them where all of them fit into ``room`` cells.
    """
    told = [_tokens(strip, figures=True) for strip in strips]
    fit = all(line.cell_len <= room for line in told)
    return told if fit else [_tokens(strip, figures=False) for strip in strips]


def _tokens(strip: Sequence[Sequence[object]], *, figures: bool) -> Text:
    line = Text()
    for entry in strip:
        piece, logprob = str(entry[0]), entry[1]
        known = isinstance(logprob, int | float)
        probability = math.exp(min(0.0, float(logprob))) if isinstance(logprob, int | float) else 0.0
        colour = next(colour for least, colour in _PROBABLE if probability >= least)
        shown = safe(piece, lines=False).replace(" ", "·")
        line.append(shown, f"{colour} underline" if probability < 0.01 else colour)
        if figures:
            line.append(f"{logprob:.1f} " if known else "? ", DIM)
    return line


def _real(score: float | None) -> float:
    """A journal holds None for minus infinity."""
    return float("-inf") if score is None else score


def _list(found: Sequence[ItemJudged], items: Sequence[Item], state: ViewState, width: int, height: int) -> list[Strip]:
    head = Text.assemble(
        (f"{len(found):,} questions", TITLE),
        ("  f ", "bold"),
        (state.kept, FAIR),
        ("  s ", "bold"),
        (state.order, FAIR),
    )
    head.append("  lead of the correct choice" if width >= 70 else "  lead", DIM)
    columns = (
        Column("", 1, _mark),
        Column("", 8, lambda event: (number(lead(event)), DIM)),
        Column("", 2, lambda event: ("≠" if disagree(event) else "", FAIR), left=True),
        Column("", 0, lambda event: items[event.item].stem if event.item < len(items) else "?", left=True),
    )
    return strips([head, *LineTable(columns, width).rows(found, state.row, height - 1)], width, height)


def _mark(event: ItemJudged) -> tuple[str, str]:
    """Whether the answer is right; of an item that could not be scored, neither."""
    best = chosen(event.scores)
    return ("–", DIM) if best < 0 else ("✓", GOOD) if best == event.gold else ("✗", BAD)


def _nothing(story: ChooseStory, method: str, state: ViewState, width: int) -> list[Strip]:
    if not story.browsable:
        return [strip(Text("No question has been ranked yet.", DIM), width)]
    told = f"No question of {SHORT.get(method, method)} is kept by the filter {state.kept}: f changes it."
    return [strip(Text(told, DIM), width)]
