"""All methods at once: what they reach beside the controls, what that means, the margins, and the losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from rich.text import Text
from textual.strip import Strip

from engine.runs.listing import partial
from tui.choosing.story import CONTROLS, ChooseStory, Method
from tui.choosing.views import COLOURS, NAMES
from tui.comparing import overview as overviews
from tui.comparing import story as comparing
from tui.comparing.overview import NAME, Column, arranged, seconds
from tui.curve import CurveOptions, draw
from tui.styled import (
    BAD,
    DIM,
    FAIR,
    GOOD,
    bar,
    data_lines,
    p_value,
    share,
    strip,
    wrap,
)
from tui.text import safe

COLUMNS = (
    Column("accuracy", 9),
    Column("95% interval", 14),
    Column("n", 7, 76),
    Column("hidden", 8),
    Column("seconds", 9, 66),
    Column("shuffled", 9, 76),
    Column("seeds", 13, 88),
)


def overview(story: ChooseStory, method: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and the losses to the right."""
    curve = _curve(story, method)
    return arranged(
        table(story, method, width),
        lambda width: _words(story, method, width),
        (lambda width, height: _losses(curve, width, height)) if curve else None,
        width,
        height,
        running=story.finished is None,
    )


def table(story: ChooseStory, chosen: str, width: int) -> list[Text]:
    """Heading and one line for each method; ways of counting log-probabilities are lines of their own."""
    chance = story.methods["chance"].accuracy if "chance" in story.methods else None
    return overviews.table(
        story, chosen, COLUMNS, _cell, NAMES, COLOURS, width, chance=chance, below=_ways, running=_running
    )


def _running(method: comparing.Method) -> str:
    """How far a method is that judges item by item."""
    seen = cast(Method, method).running
    return f"{seen.done:,}/{seen.total:,}  {seen.accuracy:.3f} ({seen.low:.3f}–{seen.high:.3f})" if seen else ""


def _ways(method: comparing.Method, columns: Sequence[Column]) -> list[Text]:
    lines = []
    ways = (cast(Method, method).result or {}).get("ways")
    for way, each in ways.items() if isinstance(ways, dict) else ():
        line = Text().append(f"{'    by ' + str(way):<{NAME}}", DIM)
        for column in columns[:2]:
            line.append(f"{_figure(column.title, each, '', False)[0]:>{column.width}}", DIM)
        lines.append(line)
    return lines


def _cell(title: str, method: comparing.Method, best: bool) -> tuple[str, str]:
    return _figure(title, cast(Method, method).result or {}, method.name, best)


def _figure(title: str, result: dict[str, Any], name: str, best: bool) -> tuple[str, str]:
    match title:
        case "accuracy":
            mark = "*" if partial(result) else ""
            return f"{share(result['accuracy'])}{mark}", f"bold {GOOD}" if best and not mark else "bold"
        case "95% interval":
            low, high = result["interval"]
            return f"{share(low)}–{share(high)}" if low != high else "–", ""
        case "n":
            return f"{result['items']:,}" if isinstance(result.get("items"), int) else "–", ""
        case "hidden":
            hidden = result.get("question_hidden")
            if not isinstance(hidden, dict):
                return "–", DIM
            real = hidden["p"] < 0.05 and result["accuracy"] > hidden["accuracy"]
            return share(hidden["accuracy"]), "" if real else f"bold {BAD}"
        case "shuffled":
            moved = result.get("choices_shuffled")
            if not isinstance(moved, dict):
                return "–", DIM
            return share(moved["accuracy"]), "" if not moved["changed"] else FAIR
        case "seeds":
            seeds = result.get("seeds") or []
            spread = result.get("spread")
            told = f"{len(seeds)}, ±{spread:.3f}" if isinstance(spread, float) and seeds else "–"
            return told, "" if seeds else DIM
        case _:
            return "–" if name in CONTROLS else seconds(float(result.get("seconds", 0.0))), ""


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


def _believe(method: Method, width: int) -> list[Text]:
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
        real = hidden["p"] < 0.05 and result["accuracy"] > hidden["accuracy"]
        told = f"question hidden {share(hidden['accuracy'])}: "
        lines.append(Text.assemble((told, DIM), (p_value(hidden["p"]), GOOD if real else BAD)))
        if not real:
            lines[-1].append(", the question may not be read at all", BAD)
    if isinstance(moved := result.get("choices_shuffled"), dict):
        told = f"choices in another order: {moved['changed']:,} of {moved['items']:,} answers change"
        lines.append(Text(told, DIM if not moved["changed"] else FAIR))
    places = [one for one in result.get("places") or [] if isinstance(one, dict)]
    if places:
        total = max(1, sum(one["right"] for one in places))
        line = Text("place: ", DIM)
        for one in places:
            line.append(f"{one['place']} ", "bold")
            line.append(f"{one['chosen'] / total:.0%}", "")
            line.append(f"/{one['right'] / total:.0%}  ", DIM)
        lines += wrap(line.append("chosen/right", DIM), width)
    bins = [one for one in result.get("margins") or [] if isinstance(one, dict)]
    if bins:
        lines.append(Text("by margin, fifths from the smallest lead to the largest", DIM))
        for one in bins:
            line = Text(f"  {one['low']:>8.3f} – {one['high']:<8.3f}", DIM)
            line.append(bar(one["accuracy"], 12), COLOURS.get(method.name, "")).append(
                f" {one['accuracy']:.3f}", "bold"
            )
            lines.append(line.append(f"  of {one['count']:,}", DIM))
    return lines


def _curve(story: ChooseStory, chosen: str) -> Method | None:
    """Whose losses to draw: who trains, else the method chosen, else the last that has any."""
    able = [method for method in story.methods.values() if method.curve.version]
    for name in (story.doing, chosen):
        if found := [method for method in able if method.name == name]:
            return found[0]
    return able[-1] if able else None


def _losses(method: Method, width: int, height: int) -> list[Strip]:
    title = Text.assemble((f"{NAMES.get(method.name, method.name)}: loss ", COLOURS.get(method.name, "")))
    title.append("train ", "bright_cyan").append("held out ", "bright_yellow").append("● best", GOOD)
    return [strip(title, width), *draw(method.curve, width, height - 1, CurveOptions(smoothing=0.0))]
