"""All methods at once: what they reach beside the controls, what that means, the margins, and the losses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.strip import Strip

from engine.runs.listing import partial
from tui.choose.story import CONTROLS, ChooseMethod, ChooseStory
from tui.choose.views import NAMES, ViewState
from tui.follow import overview as compare
from tui.follow.overview import ACCURACY, seconds, span
from tui.text import safe
from tui.widgets.line_table import Column, LineTable
from tui.widgets.styled import BRIGHT, MUTED, TITLE, WARN, bar, data_lines, flow, p_value, share, wrap


def _hidden(method: ChooseMethod) -> Text:
    """The accuracy without the question, marked where the method is no better with it."""
    hidden = (method.result or {}).get("question_hidden")
    if not isinstance(hidden, dict):
        return Text("–  ", MUTED)
    return Text(share(hidden["accuracy"])).append("  " if _reads(method, hidden) else " ▲", WARN)


def _reads(method: ChooseMethod, hidden: Mapping[str, Any]) -> bool:
    """Whether a method is better with the question than with the question hidden, by more than chance."""
    return bool(hidden["p"] < 0.05 and (method.accuracy or 0.0) > hidden["accuracy"])


def _seconds(method: ChooseMethod) -> str:
    return "–" if method.name in CONTROLS else seconds(float((method.result or {}).get("seconds", 0.0)))


def _shuffled(method: ChooseMethod) -> str:
    moved = (method.result or {}).get("choices_shuffled")
    return share(moved["accuracy"]) if isinstance(moved, dict) else "–"


def _seeds(method: ChooseMethod) -> tuple[str, str]:
    """How many trainings were averaged, and the standard deviation of their accuracies."""
    result = method.result or {}
    seeds, spread = result.get("seeds") or [], result.get("spread")
    return f"{len(seeds)}, ±{spread:.3f}" if isinstance(spread, float) and seeds else "–", "" if seeds else MUTED


COLUMNS = (
    ACCURACY,
    Column("95% interval", 14, lambda method: ("–" if method.name == "chance" else span(method.interval), MUTED)),
    Column("hidden", 9, _hidden, priority=1),
    Column("seeds", 11, _seeds, priority=3),
    Column("shuffled", 10, _shuffled, priority=2),
    Column("seconds", 9, _seconds, priority=4),
)


def overview(story: ChooseStory, method: str, state: ViewState, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and the losses to the right."""
    chance = story.methods["chance"].accuracy if "chance" in story.methods else None
    words = functools.partial(_words, story, method)
    return compare.overview(story, method, COLUMNS, words, NAMES, state, width, height, chance=chance)


def _words(story: ChooseStory, chosen: str, width: int) -> list[Text]:
    lines = compare.verdict(story.verdict, width)
    method = story.methods.get(chosen)
    if method is not None and method.result is not None and chosen not in CONTROLS:
        lines += [*_controls(method, width), Text("")]
    if story.data is not None:
        data = story.data
        lines += data_lines(data.data, data.source, list(map(str, data.checks)), data.repairs, width)
    return lines


def _controls(method: ChooseMethod, width: int) -> list[Text]:
    """The figures that tell whether to believe the accuracy of a method."""
    result = method.result or {}
    head = Text(NAMES.get(method.name, method.name), TITLE)
    if settings := result.get("settings"):
        head.append(f"  {safe(str(settings), lines=False)}", MUTED)
    lines = [head]
    if told := partial(result):
        lines.append(_warning(told.removeprefix(", ")))
    for what, name in (("could not be scored", "unscored"), ("had their question truncated", "truncated")):
        if isinstance(count := result.get(name), int) and count:
            lines.append(_warning(f"{count:,} items {what}"))
    if "p_chance" in result:
        told = f"against chance {share(result.get('chance'))}: {p_value(result['p_chance'])}"
        lines.append(Text(told) if result["p_chance"] < 0.05 else _warning(f"{told}, could be guessing"))
    if isinstance(hidden := result.get("question_hidden"), dict):
        told = f"question hidden {share(hidden['accuracy'])}: {p_value(hidden['p'])}"
        real = _reads(method, hidden)
        lines.append(Text(told) if real else _warning(f"{told}, the question may not be used at all"))
    if isinstance(moved := result.get("choices_shuffled"), dict):
        lines.append(Text(f"choices shuffled: {moved['changed']:,} of {moved['items']:,} answers change"))
    lines = [part for line in lines for part in wrap(line, width)]
    if places := [one for one in result.get("places") or [] if isinstance(one, dict)]:
        total = max(1, sum(one["right"] for one in places))
        parts = [Text("position: chosen / correct", MUTED)]
        for one in places:
            shares = f"{one['chosen'] / total:.0%}/{one['right'] / total:.0%}"
            parts.append(Text.assemble(f"{one['place']} ", (shares, BRIGHT)))
        lines += flow(parts, width)
    if bins := [one for one in result.get("margins") or [] if isinstance(one, dict)]:
        columns = (
            Column("margin", 20, lambda one: f"{one['low']:.2f} – {one['high']:.2f}"),
            Column("accuracy", 10, lambda one: (f"{one['accuracy']:.3f}", BRIGHT)),
            Column("", 14, lambda one: (" " + bar(one["accuracy"], 12), MUTED), priority=1),
            Column("items", 7, lambda one: (f"{one['count']:,}", MUTED)),
        )
        table = LineTable(columns, width)
        lines += [Text("accuracy by margin quintile", MUTED), table.heading(), *map(table.row, bins)]
    return lines


def _warning(told: str) -> Text:
    """What makes a figure doubtful."""
    return Text.assemble(("▲ ", WARN), told)
