"""Questions as a list to browse, and one of them with what every method gives to each choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text
from textual.strip import Strip

from data.choices import LETTERS, Item
from engine.runs.events import ItemJudged
from tui.choose.story import ChooseStory, chosen, confidence, disagree, lead, shares
from tui.choose.views import SHORT, ViewState
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.panel import Frame
from tui.widgets.styled import BAD, BRIGHT, GOOD, MUTED, WARN, bar, paragraph, side_by_side, strip, wrap

BESIDE = 110  # columns from which list and question stand side by side
COLUMN, NUMBER = 26, 15  # cells of one method's scores at most, and at least
WAYS = ("sum", "token", "character", "pmi")


def questions(
    story: ChooseStory,
    found: Sequence[ItemJudged] | None,
    items: Sequence[Item],
    method: str,
    state: ViewState,
    width: int,
    height: int,
) -> list[Strip]:
    """The list of what was ``found`` above or to the left, and the question under the cursor.

    ``found`` is None while the questions are put in order.
    """
    if found is None:
        return paragraph(f"putting the questions in order: {state.order}…", width)
    if not found or not items:
        return _nothing(story, method, state, width)
    here = found[state.within(len(found))]
    item = items[here.item] if here.item < len(items) else None
    ranked = {name: each.ranked[here.item] for name, each in story.methods.items() if here.item in each.ranked}
    frame, title = Frame(width), f"question {state.row + 1:,} of {len(found):,}"

    def shown(width: int, height: int) -> list[Strip]:
        return card(item, ranked, method, title, frame, width, height, active=state.reading)

    if state.reading:
        return shown(width, height)
    if width >= BESIDE:
        left = min(58, width // 2 - 4)
        rows = _list(story, found, items, method, state, frame, left, height)
        return side_by_side([(rows, left), (shown(width - left, height), width - left)], height)
    above = max(4, min(len(found) + 1 + frame.down, height // 3))
    rows = _list(story, found, items, method, state, frame, width, above)
    return [*rows, *shown(width, height - above)]


def card(
    item: Item | None,
    ranked: Mapping[str, ItemJudged],
    method: str,
    title: str,
    frame: Frame,
    width: int,
    height: int,
    moved: Mapping[str, Sequence[int]] | None = None,
    *,
    active: bool = False,
) -> list[Strip]:
    """A question and its choices, a column of scores for each method; under it the tokens that zero-shot counted.

    ``moved`` tells for each method by how many ranks every choice went up since the last look.
    """
    inside = width - frame.across
    if item is None:
        return frame.panel(title, paragraph("the text of this question is no longer available", inside), width, height)
    lines: list[Text] = []
    if item.context:
        context = wrap(Text(safe(item.context, lines=False), MUTED), inside)
        lines += context[:3] + ([Text("…", MUTED)] if len(context) > 3 else [])
    if item.question:
        lines += wrap(Text(safe(item.question, lines=False), f"bold {BRIGHT}"), inside)
    names = [name for name in ranked if len(ranked[name].scores) == len(item.choices)]
    room = max(14, min(max(len(choice) for choice in item.choices) + 6, inside // 3))
    each = max(NUMBER, min(COLUMN, (inside - room - 2) // max(1, len(names))))
    columns = [Column("", room, lambda place: _choice(item, place), left=True)]
    for name in names:
        cell = _scores(ranked[name].scores, item.gold, each, (moved or {}).get(name, ()))
        title_of = f"  {'▸' if name == method and len(names) > 1 else ' '} {SHORT.get(name, name)}"
        columns.append(Column(title_of, each, cell, left=True, priority=int(name != method)))
    table = LineTable(columns, inside)
    lines += [Text(""), table.heading(), *map(table.row, range(len(item.choices)))]
    lines += _choices(item, ranked, names, inside)
    if "zero-shot" in ranked:
        lines += _zero_shot(item, ranked["zero-shot"], inside)
    return frame.panel(title, lines, width, height, "score · softmax", active=active)


def _choice(item: Item, place: int) -> Text:
    right = place == item.gold
    return Text.assemble(("✓ " if right else "  ", GOOD), safe(f"{LETTERS[place]} {item.choices[place]}", lines=False))


def _scores(scores: Sequence[float], gold: int, width: int, moved: Sequence[int] = ()) -> Callable[[int], Text]:
    """Of a place: its score, its share (softmax) with a bar from 0 to 1, and the mark of the one chosen."""
    best = max(range(len(scores)), key=lambda other: (scores[other], -other))
    parts = shares(scores)
    spare = width - 16 - 3 * any(moved)

    def cell(place: int) -> Text:
        here = place == best
        mark, style = ("▸", "") if gold < 0 else ("✓", GOOD) if place == gold else ("✗", BAD)
        text = Text(" ").append(f"{mark if here else ' '}", style)
        text.append(f"{number(scores[place])} {parts[place]:4.0%}", f"bold {BRIGHT}" if here else MUTED)
        if spare > 2:
            text.append(" ").append(bar(parts[place], spare), BRIGHT if here else MUTED)
        if any(moved):
            by = moved[place] if place < len(moved) else 0
            text.append(f" {'▲' if by > 0 else '▼'}{abs(by)}" if by else "   ", BRIGHT)
        return text

    return cell


def _choices(item: Item, ranked: Mapping[str, ItemJudged], names: Sequence[str], width: int) -> list[Text]:
    """The choice of every method and its lead: in one line where it fits, else one line per method."""
    found = []
    for name in names:
        best, ordered = chosen(ranked[name].scores), sorted(ranked[name].scores, reverse=True)
        if best < 0:
            found.append(Text(f"{SHORT.get(name, name)} not scored", MUTED))
            continue
        mark = ("", "") if item.gold < 0 else ("✓ ", GOOD) if best == item.gold else ("✗ ", BAD)
        text = Text.assemble((f"{SHORT.get(name, name)} ", MUTED), mark, LETTERS[best])
        found.append(text.append(f", lead {ordered[0] - ordered[1]:.3g}", MUTED))
    together = Text("   ").join(found)
    return [Text(""), *([together] if together.cell_len <= width else found)]


def _zero_shot(item: Item, event: ItemJudged, width: int) -> list[Text]:
    """Scores by the four normalizations, side by side, and each choice's tokens."""
    ways = [way for way in WAYS if len(event.ways.get(way) or ()) == len(item.choices)]
    if not ways:
        return []
    title = Text("zero-shot scores by normalization")
    if disagree(event):
        title.append("  ≠ ", WARN).append("disagree")
    winners = {way: chosen(event.ways[way]) for way in ways}

    def cell(way: str) -> Callable[[int], tuple[str, str]]:
        return lambda place: (
            number(_real(event.ways[way][place])),
            f"bold {BRIGHT}" if winners[way] == place else MUTED,
        )

    columns = [Column("", 2, lambda place: LETTERS[place], left=True), *(Column(way, 10, cell(way)) for way in ways)]
    room = width - sum(column.width for column in columns) - 5
    spelled = tokens(event.strips, room if room >= 24 else width - 5)
    if beside := room >= 24 and bool(spelled):
        title_of = "   tokens (bold: less probable)"
        columns.append(Column(title_of, 0, lambda place: Text("   ") + spelled[place], left=True))
    table = LineTable(columns, width)
    places = range(min(len(item.choices), len(spelled)) if spelled else len(item.choices))
    lines = [Text(""), title, table.heading(), *map(table.row, places)]
    return lines + (
        [] if beside else [Text(f"  {LETTERS[place]} ", MUTED) + line for place, line in enumerate(spelled)]
    )


def number(score: float) -> str:
    """A score in seven cells."""
    return f"{score:7.2f}" if abs(score) < 1000 else f"{score:7.0f}" if math.isfinite(score) else "      –"


def tokens(found: Sequence[Sequence[Sequence[object]]], room: int) -> list[Text]:
    """The tokens of every choice, the bolder the less probable, and underlined from below 1%.

    Their log-probabilities stand beside them where all of them fit into ``room`` cells.
    """
    told = [_tokens(one, figures=True) for one in found]
    fit = all(line.cell_len <= room for line in told)
    return told if fit else [_tokens(one, figures=False) for one in found]


def _tokens(found: Sequence[Sequence[object]], *, figures: bool) -> Text:
    line = Text()
    for entry in found:
        piece, logprob = str(entry[0]), entry[1]
        known = isinstance(logprob, int | float)
        probability = math.exp(min(0.0, float(logprob))) if isinstance(logprob, int | float) else 1.0
        style = MUTED if probability >= 0.5 else "" if probability >= 0.1 else f"bold {BRIGHT}"
        shown = safe(piece, lines=False).replace(" ", "·")
        line.append(shown, f"{style} underline" if probability < 0.01 else style)
        if figures:
            line.append(f"{logprob:.1f} " if known else "? ", MUTED)
    return line


def _real(score: float | None) -> float:
    """A journal holds None for minus infinity."""
    return float("-inf") if score is None else score


def _list(
    story: ChooseStory,
    found: Sequence[ItemJudged],
    items: Sequence[Item],
    method: str,
    state: ViewState,
    frame: Frame,
    width: int,
    height: int,
) -> list[Strip]:
    sure = state.order == "most confident first"

    def figure(event: ItemJudged) -> tuple[str, str]:
        return f"{confidence(event):.0%}" if sure else number(lead(event)).strip(), MUTED

    columns = (
        Column("", 1, _mark),
        Column("confidence" if sure else "lead", 11 if sure else 8, figure),
        Column(" ", 3, lambda event: (" ≠" if disagree(event) else "", WARN), left=True),
        Column("question", 0, lambda event: items[event.item].stem if event.item < len(items) else "?", left=True),
    )
    inside = width - frame.across
    table = LineTable(columns, inside)
    rows = [table.heading(), *table.rows(found, state.row, height - frame.down - 1)]
    own = story.methods[method]
    kind = "" if state.kept == "all" else f" {state.kept}"
    title = f"{len(found):,}{kind} questions, {state.order}"
    count = f"{len(own.ranked) - own.right:,} wrong · {own.right:,} right"
    return frame.panel(title, rows, width, height, count, active=True)


def _mark(event: ItemJudged) -> tuple[str, str]:
    """Whether the answer is right; of an item that could not be scored, neither."""
    best = chosen(event.scores)
    return ("–", MUTED) if best < 0 else ("✓", GOOD) if best == event.gold else ("✗", BAD)


def _nothing(story: ChooseStory, method: str, state: ViewState, width: int) -> list[Strip]:
    if not story.browsable:
        return paragraph("No questions ranked yet.", width)
    told = f"No question of {SHORT.get(method, method)} matches the filter {state.kept}; f changes the filter."
    return [strip(Text(told, MUTED), width)]
