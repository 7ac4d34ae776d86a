"""All methods at once: what they reach beside the controls, what that means, the margins, and the losses."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.strip import Strip

from engine.runs.listing import partial
from tui import units
from tui.choosing.story import CONTROLS, ChooseStory, Method
from tui.choosing.views import COLOURS, NAMES
from tui.curve import CurveOptions, draw
from tui.styled import (
    BAD,
    CURSOR,
    DIM,
    FAIR,
    GOOD,
    bar,
    data_lines,
    fit,
    interval,
    limits,
    p_value,
    share,
    side_by_side,
    strip,
    wrap,
)
from tui.text import safe

NAME = 18
SPLIT = 90  # columns from which words and the curve stand side by side
CURVE = 7  # lines below which a curve says nothing
PLOT = 24  # cells of the drawn interval at most
COLUMNS = (("accuracy", 9, 0), ("95% interval", 14, 0), ("n", 7, 76), ("hidden", 8, 0), ("shuffled", 9, 76),
           ("seeds", 13, 88), ("seconds", 9, 66))  # fmt: skip


def overview(story: ChooseStory, method: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and the losses to the right."""
    top = [strip(line, width) for line in table(story, method, width)]
    top.append(Strip.blank(width))
    room = height - len(top)
    if room <= 0:
        return top[:height]
    curve = _curve(story, method)
    if curve is not None and width >= SPLIT and room >= CURVE:
        left = max(40, width // 2)
        words = [strip(line, left - 2) for line in _words(story, method, left - 2)]
        plot = _losses(curve, width - left, min(room, 16))
        return top + side_by_side([(words, left - 2), ([], 2), (plot, width - left)], room)
    if curve is not None and story.finished is None and room >= CURVE:
        return top + _losses(curve, width, room)
    words = [strip(line, width) for line in _words(story, method, width)][:room]
    if curve is not None and room - len(words) > CURVE:
        words += [Strip.blank(width), *_losses(curve, width, room - len(words) - 1)]
    return top + words


def table(story: ChooseStory, chosen: str, width: int) -> list[Text]:
    """Heading and one line for each method; ways of counting log-probabilities are lines of their own."""
    columns = [column for column in COLUMNS if width >= column[2]]
    while sum(cells for _, cells, _ in columns) + NAME > width and len(columns) > 2:
        columns.pop()
    room = width - NAME - sum(cells for _, cells, _ in columns) - 3
    plot = min(PLOT, room) if room >= 12 else 0
    head = Text().append(f"{'  method':<{NAME}}", DIM)
    for title, cells, _ in columns:
        head.append(f"{title:>{cells}}")
    low, high = limits([ends for method in story.methods.values() if (ends := method.interval) is not None])
    chance = story.methods["chance"].accuracy if "chance" in story.methods else None

    def drawn(method: Method) -> Text:
        colour = COLOURS.get(method.name, "")
        return interval((low, high), method.interval, method.accuracy, colour, plot, chance)

    if plot:
        head.append(f"   {low:.2f}{'':<{plot - 8}}{high:.2f}", DIM)
    best = story.best
    lines = [head]
    for method in story.methods.values():
        mark = "▸ " if method.name == chosen else "  "
        style = CURSOR if method.name == chosen else COLOURS.get(method.name, "")
        line = Text().append(fit(f"{mark}{NAMES.get(method.name, method.name)}", NAME), style)
        if method.result is None:
            line.append("   " + _waiting(story, method), FAIR if story.doing == method.name else DIM)
            if plot and method.running is not None and line.cell_len < width - plot - 3:
                line.append(" " * (width - plot - line.cell_len))
                line.append_text(drawn(method))
        else:
            for title, cells, _ in columns:
                line.append(*_cell(title, cells, method.result, method.name, best is method))
            if plot:
                line.append("   ")
                line.append_text(drawn(method))
        lines.append(line)
        lines += _ways(method, columns)
    return lines


def _ways(method: Method, columns: list[tuple[str, int, int]]) -> list[Text]:
    lines = []
    ways = (method.result or {}).get("ways")
    for way, each in ways.items() if isinstance(ways, dict) else ():
        line = Text().append(f"{'    by ' + str(way):<{NAME}}", DIM)
        for title, cells, _ in columns[:2]:
            line.append(_cell(title, cells, each, "", False)[0], DIM)
        lines.append(line)
    return lines


def _cell(title: str, cells: int, result: dict[str, Any], name: str, best: bool) -> tuple[str, str]:
    match title:
        case "accuracy":
            mark = "*" if partial(result) else ""
            return f"{share(result['accuracy'])}{mark}".rjust(cells), f"bold {GOOD}" if best and not mark else "bold"
        case "95% interval":
            low, high = result["interval"]
            return (f"{share(low)}–{share(high)}" if low != high else "–").rjust(cells), ""
        case "n":
            return f"{result['items']:>{cells},}" if isinstance(result.get("items"), int) else f"{'–':>{cells}}", ""
        case "hidden":
            hidden = result.get("question_hidden")
            if not isinstance(hidden, dict):
                return f"{'–':>{cells}}", DIM
            real = hidden["p"] < 0.05 and result["accuracy"] > hidden["accuracy"]
            return f"{share(hidden['accuracy']):>{cells}}", "" if real else f"bold {BAD}"
        case "shuffled":
            moved = result.get("choices_shuffled")
            if not isinstance(moved, dict):
                return f"{'–':>{cells}}", DIM
            return f"{share(moved['accuracy']):>{cells}}", "" if not moved["changed"] else FAIR
        case "seeds":
            seeds = result.get("seeds") or []
            spread = result.get("spread")
            told = f"{len(seeds)}, ±{spread:.3f}" if isinstance(spread, float) and seeds else "–"
            return f"{told:>{cells}}", "" if seeds else DIM
        case _:
            seconds = float(result.get("seconds", 0.0))
            told = "–" if name in CONTROLS else f"{seconds:.1f}" if seconds < 1000 else f"{seconds:,.0f}"
            return f"{told:>{cells}}", ""


def _waiting(story: ChooseStory, method: Method) -> str:
    """What stands where the figures will."""
    if story.finished is not None:
        return "not run"
    if (seen := method.running) is not None:
        return f"{seen.done:,}/{seen.total:,}  {seen.accuracy:.3f} ({seen.low:.3f}–{seen.high:.3f})"
    if story.doing != method.name or method.last is None:
        return "waiting"
    last = method.last
    told = [last.note] if last.note else [f"step {last.step:,} of {last.steps:,}"]
    told.append(f"loss {last.loss:.3f}")
    if last.held_out_score is not None:
        told.append(f"held out {last.held_out_score:.3f}")
    if last.seconds_left:
        told.append(f"{units.duration(last.seconds_left)} left")
    return safe(", ".join(told), lines=False)


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
