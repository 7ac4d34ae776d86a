"""All methods at once: what they reach beside the controls, what that means, the margins, and the losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.text import Text
from textual.strip import Strip

from engine.runs.listing import partial
from tui.choose.story import CONTROLS, ChooseMethod, ChooseStory
from tui.choose.views import COLOURS, NAMES
from tui.follow import overview as compare
from tui.follow.overview import ACCURACY, seconds, span
from tui.text import safe
from tui.widgets.line_table import Column
from tui.widgets.styled import (
    BAD,
    DIM,
    FAIR,
    GOOD,
    bar,
    data_lines,
    p_value,
    share,
    wrap,
)


def _hidden(method: ChooseMethod) -> tuple[str, str]:
    hidden = (method.result or {}).get("question_hidden")
    if not isinstance(hidden, dict):
        return "–", DIM
    return share(hidden["accuracy"]), "" if _reads(method, hidden) else f"bold {BAD}"


def _reads(method: ChooseMethod, hidden: Mapping[str, Any]) -> bool:
    """Whether a method is better with the question than with the question hidden, by more than chance."""
    return bool(hidden["p"] < 0.05 and (method.accuracy or 0.0) > hidden["accuracy"])


def _seconds(method: ChooseMethod) -> str:
    return "–" if method.name in CONTROLS else seconds(float((method.result or {}).get("seconds", 0.0)))


def _shuffled(method: ChooseMethod) -> tuple[str, str]:
    moved = (method.result or {}).get("choices_shuffled")
    return (share(moved["accuracy"]), FAIR if moved["changed"] else "") if isinstance(moved, dict) else ("–", DIM)


def _seeds(method: ChooseMethod) -> tuple[str, str]:
    """How many trainings were averaged, and the standard deviation of their accuracies."""
    result = method.result or {}
    seeds, spread = result.get("seeds") or [], result.get("spread")
    return f"{len(seeds)}, ±{spread:.3f}" if isinstance(spread, float) and seeds else "–", "" if seeds else DIM


def _items(method: ChooseMethod) -> str:
    items = (method.result or {}).get("items")
    return f"{items:,}" if isinstance(items, int) else "–"


COLUMNS = (
    ACCURACY,
    Column("95% interval", 14, lambda method: "–" if method.name == "chance" else span(method.interval)),
    Column("n", 7, _items, priority=2),
    Column("hidden", 8, _hidden),
    Column("seconds", 9, _seconds, priority=1),
    Column("shuffled", 9, _shuffled, priority=2),
    Column("seeds", 13, _seeds, priority=3),
)


def overview(story: ChooseStory, method: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and the losses to the right."""
    chance = story.methods["chance"].accuracy if "chance" in story.methods else None

    def words(width: int) -> list[Text]:
        return _words(story, method, width)

    return compare.overview(story, method, COLUMNS, words, NAMES, COLOURS, width, height, chance=chance)


def _words(story: ChooseStory, chosen: str, width: int) -> list[Text]:
    lines: list[Text] = []
    if story.verdict:
        lines += [*wrap(Text(safe(story.verdict), "bold bright_white"), width), Text("")]
    method = story.methods.get(chosen)
    if method is not None and method.result is not None and chosen not in CONTROLS:
        lines += [*_believe(method, width), Text("")]
    if story.data is not None:
        data = story.data
        lines += data_lines(data.data, data.source, list(map(str, data.checks)), data.repairs, width)
    return lines


def _believe(method: ChooseMethod, width: int) -> list[Text]:
    """The figures that tell whether to believe the accuracy of a method."""
    result = method.result or {}
    lines = [Text.assemble((NAMES.get(method.name, method.name), f"bold {COLOURS.get(method.name, '')}"))]
    if settings := result.get("settings"):
        lines[0].append(f"  {safe(str(settings), lines=False)}", DIM)
    if told := partial(result):
        lines.append(Text(told.removeprefix(", "), FAIR))
    for what, name in (("could not be scored", "unscored"), ("had their question cut", "truncated")):
        if isinstance(count := result.get(name), int) and count:
            lines.append(Text(f"{count:,} items {what}", FAIR))
    if "p_chance" in result:
        beats = result["p_chance"] < 0.05
        lines.append(
            Text.assemble(
                (f"against chance {share(result.get('chance'))}: ", DIM),
                (p_value(result["p_chance"]), GOOD if beats else BAD),
                ("" if beats else ", could be guessing", BAD),
            )
        )
    if isinstance(hidden := result.get("question_hidden"), dict):
        real = _reads(method, hidden)
        told = f"question hidden {share(hidden['accuracy'])}: "
        lines.append(Text.assemble((told, DIM), (p_value(hidden["p"]), GOOD if real else BAD)))
        if not real:
            lines[-1].append(", the question may not be used at all", BAD)
    if isinstance(moved := result.get("choices_shuffled"), dict):
        told = f"choices in another order: {moved['changed']:,} of {moved['items']:,} answers change"
        lines.append(Text(told, DIM if not moved["changed"] else FAIR))
    places = [one for one in result.get("places") or [] if isinstance(one, dict)]
    if places:
        total = max(1, sum(one["right"] for one in places))
        line = Text("")
        for one in places:
            line.append(f"  {one['place']} ", "bold")
            line.append(f"{one['chosen'] / total:.0%}", "")
            line.append(f"/{one['right'] / total:.0%}", DIM)
        lines += [Text("position: chosen/correct", DIM), *wrap(line, width)]
    bins = [one for one in result.get("margins") or [] if isinstance(one, dict)]
    if bins:
        lines.append(Text("accuracy by margin quintile", DIM))
        for one in bins:
            line = Text(f"  {one['low']:>8.3f} – {one['high']:<8.3f}", DIM)
            line.append(bar(one["accuracy"], 12), COLOURS.get(method.name, "")).append(
                f" {one['accuracy']:.3f}", "bold"
            )
            lines.append(line.append(f"  of {one['count']:,}", DIM))
    return lines
