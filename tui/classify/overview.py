"""All routes at once: the comparison, what it means in words, and the losses of what trains."""

from __future__ import annotations

from rich.text import Text
from textual.strip import Strip

from tui.classify import figures
from tui.classify.laboratory import Findings
from tui.classify.pages import message
from tui.classify.story import CURVED, ClassifyStory, plain_words
from tui.classify.table import differences, table
from tui.comparing.ink import BAD, DIM, FAIR, data_lines, side_by_side, strip, wrap
from tui.text import safe

SPLIT = 76  # columns from which words and curves stand side by side
CURVE = 6  # lines below which a curve says nothing


def overview(story: ClassifyStory, findings: Findings | None, chosen: str, width: int, height: int) -> list[Strip]:
    """Table above; below it words to the left and curves to the right, or what matters more now where it is narrow."""
    if not story.routes and not story.notices:
        return message("The process is starting and reads the data…", width, height)
    top = [strip(line, width) for line in table(story, chosen, width)] if story.routes else []
    top.append(Strip.blank(width))
    room = height - len(top)
    if room <= 0:
        return top[:height]
    curves = [route for route in story.routes.values() if route.curve.version]
    wanted = story.doing if story.doing in CURVED else chosen
    if not curves:
        return top + _strips(_words(story, findings, chosen, width), width, room)
    if width >= SPLIT and room >= CURVE:
        left = max(38, min(width // 2, 64))
        words = _strips(_words(story, findings, chosen, left - 2), left, room)
        plots = figures.losses(curves, wanted, width - left, min(room, 18))
        return top + side_by_side([(words, left), (plots, width - left)], room)
    words = _strips(_words(story, findings, chosen, width), width, room)
    if story.finished is None and room >= CURVE:
        return top + figures.losses(curves, wanted, width, room)
    if room - len(words) > CURVE:
        words += [Strip.blank(width), *figures.losses(curves, wanted, width, room - len(words) - 1)]
    return top + words


def _words(story: ClassifyStory, findings: Findings | None, chosen: str, width: int) -> list[Text]:
    lines: list[Text] = []
    for said in story.notices:
        if said.level == "error":
            lines += [*wrap(Text(f"✗ {safe(said.text)}", f"bold {BAD}"), width), Text("")]
    verdict = story.verdict or plain_words(story)
    if verdict:
        lines += wrap(Text(safe(verdict), "bold bright_white"), width)
        lines.append(Text(""))
    route = story.routes.get(chosen)
    if route is not None and route.report is not None and route.report.settings:
        what = "always says: " if chosen == "majority" else "chosen on validation: "
        lines += wrap(Text.assemble((what, DIM), safe(route.report.settings)), width)
    if told := differences(story, findings, chosen, width):
        lines += [*told, Text("")]
    if story.data is not None:
        lines += _data(story, width)
    for said in story.notices:
        if said.kind != "screen" and said.level != "error":
            colour = FAIR if said.level == "warning" else DIM
            lines += wrap(
                Text(f"{'!' if said.level == 'warning' else '·'} {safe(said.text, lines=False)}", colour), width
            )
    return lines


def _data(story: ClassifyStory, width: int) -> list[Text]:
    """Size, checks and repairs of the data set."""
    data = story.data
    assert data is not None
    sizes = (("train ", data.train), ("validation ", data.validation), ("test ", data.test))
    counts = Text.assemble(*(part for name, count in sizes for part in ((name, DIM), (f"{count:,}  ", "bold"))))
    lines = data_lines(data.data, data.source, data.checks, data.repairs, width)
    return [lines[0], counts, *lines[1:]]


def _strips(lines: list[Text], width: int, height: int) -> list[Strip]:
    return [strip(line, width) for line in lines[:height]]
