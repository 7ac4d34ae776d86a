"""Completions of one prompt under several settings, side by side where there is room, else one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.message import Message
from textual.strip import Strip

from engine.lm.sweep import RUN, Comparison, Setting
from engine.runs.events import Compared, Token
from tui.generate import hints
from tui.generate.token_layout import Item, TokenLayout
from tui.generate.token_view import NOTHING, ramp, surprise
from tui.hints import Hint
from tui.text import safe
from tui.widgets.lines import FocusLines
from tui.widgets.styled import BOLD, BORDER, DIM, PLAIN, SELECTED, side_by_side

NARROWEST = 18  # cells of a column that can still be read
FIGURES = ("repetition", "distinct-2", "log-prob", "tokens/s")
SHORT = ("repeat", "dist-2", "logp", "tok/s")
EDGE = Style(color=BORDER)
_CHOSEN = Style.parse(f"bold {SELECTED}")


@dataclass
class Column:
    """What has come of one setting."""

    setting: Setting
    tokens: list[Token] = field(default_factory=list)
    compared: Compared | None = None
    layout: TokenLayout = field(default_factory=TokenLayout)

    def figures(self) -> tuple[str, ...]:
        """Repetition rate, distinct-2, mean log-probability, tokens per second; dots while they are not known."""
        done = self.compared
        if done is None:
            return ("…",) * 4 if self.tokens else ("",) * 4
        distinct = f"{done.distinct_2:.2f}" if done.distinct_2 is not None else "–"
        mean = f"{done.mean_logprob:.2f}" if done.mean_logprob is not None else "–"
        return f"{done.repetition_rate:.2f}", distinct, mean, f"{done.tokens_per_second:.1f}"


class Sweep:
    """A comparison as far as it has come. Plain state."""

    def __init__(self, comparison: Comparison, marks: Mapping[int, str] | None = None) -> None:
        """``marks``: how ids that add nothing to a text are spelled."""
        self.comparison, self.marks = comparison, marks or {}
        self.columns = [Column(setting) for setting in comparison.settings]
        self.path = ""
        """where it has been saved"""

    @property
    def done(self) -> bool:
        """Whether every setting has been run."""
        return all(column.compared is not None for column in self.columns)

    def fold(self, event: Token | Compared) -> None:
        """Take in a token, or the end of a column."""
        column = self.columns[event.stream]
        if isinstance(event, Compared):
            column.compared = event
        else:
            column.tokens.append(event)


class SweepView(FocusLines):
    """Draws a :class:`Sweep`. Left and right choose a column, up and down look further up or down in the texts."""

    DEFAULT_CSS = "SweepView { height: 1fr; width: 1fr; }"
    BINDINGS = [
        Binding("left", "choose(-1)", "Previous column", show=False),
        Binding("right", "choose(1)", "Next column", show=False),
        Binding("up", "roll(-1)", "Up", show=False),
        Binding("down", "roll(1)", "Down", show=False),
        Binding("pageup", "roll(-10)", "Page up", show=False),
        Binding("pagedown", "roll(10)", "Page down", show=False),
        Binding("enter", "take", "Use this text"),
        Binding("escape", "leave", "Back"),
    ]

    @dataclass
    class Taken(Message):
        """This column is to become the text."""

        column: Column

    class Left(Message):
        """Back to the text."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.sweep = Sweep(Comparison("", ()))
        self.chosen = 0
        self._top = 0
        self._follow = True
        self._seen = range(0)
        """the columns whose figures are drawn"""

    def begin(self, sweep: Sweep) -> None:
        """Show another comparison from its beginning."""
        self.sweep, self.chosen, self._top, self._follow = sweep, 0, 0, True
        self.draw()

    def draw(self) -> None:
        """Bring the lines up to date."""
        if not self.sweep.columns or not self.size:
            return
        width, height = self.size
        columns = self.sweep.columns
        self._seen = range(len(columns))
        room = (width - (len(columns) - 1)) // len(columns)
        if self._follow and not self.sweep.done:  # the first that is still written: several are at a time
            under_way = (n for n, column in enumerate(columns) if column.tokens and column.compared is None)
            self.chosen = next(under_way, self.chosen)
        if room >= NARROWEST or len(columns) == 1:
            rooms = [min(72, room + (number < (width + 1) % len(columns))) for number in range(len(columns))]
            strips = self._side_by_side(rooms, height)
        else:
            strips = self._one_at_a_time(width, height)
        self.set_strips([strip.adjust_cell_length(width) for strip in strips[:height]])

    def title(self, room: int) -> str:
        """What is compared: the end of the prompt, in at most ``room`` cells."""
        prompt = safe(self.sweep.comparison.prompt, lines=False)
        left = room - len("sweep of “”")
        return f"sweep of “{prompt if cell_len(prompt) <= left else f'…{prompt[1 - max(2, left) :]}'}”"

    def _side_by_side(self, rooms: Sequence[int], height: int) -> list[Strip]:
        line = [Strip([Segment("┼" if row == len(FIGURES) + 1 else "│", EDGE)]) for row in range(height)]
        columns: list[tuple[list[Strip], int]] = []
        for number, (column, room) in enumerate(zip(self.sweep.columns, rooms, strict=True)):
            columns += [(line, 1), (self._column(number, column, room, height), room)]
        return side_by_side(columns[1:], height)

    def _column(self, number: int, column: Column, room: int, height: int) -> list[Strip]:
        head = [self._title(number, column, room)]
        for name, value in zip(FIGURES, column.figures(), strict=True):
            text = f" {name:<11}"
            head.append(Strip([Segment(text, DIM), Segment(f"{value:>{room - len(text) - 1}} ", BOLD)]))
        head.append(Strip([Segment("─" * room, EDGE)]))
        return head + self._text(column, room, height - len(head))

    def _one_at_a_time(self, width: int, height: int) -> list[Strip]:
        figures, cell = (FIGURES, 11) if width >= 68 else (SHORT, 8)
        name = min(20, width - 4 * cell - 3)
        header = "".join(f"{figure:>{cell}}" for figure in figures)
        rows = [Strip([Segment(f"   {'':<{name}}{header}", DIM)])]
        for number, column in enumerate(self.sweep.columns):
            style = _CHOSEN if number == self.chosen else BOLD
            values = "".join(f"{value:>{cell}}" for value in column.figures())
            title = set_cell_size(safe(column.setting.name, lines=False), name)
            marks = f"{'▸' if number == self.chosen else ' '}{self._mark(column)} "
            rows.append(Strip([Segment(marks, BOLD), Segment(title, style), Segment(values, PLAIN)]))
        if len(rows) > height // 2:  # many samples: those around the one that is chosen
            first = max(1, min(self.chosen + 1 - height // 4, len(rows) - height // 2 + 1))
            rows = [rows[0], *rows[first : first + height // 2 - 1]]
            self._seen = range(first - 1, first + len(rows) - 2)
        rows.append(Strip([Segment("─" * width, EDGE)]))
        return rows + self._text(self.sweep.columns[self.chosen], width, height - len(rows))

    def _title(self, number: int, column: Column, room: int) -> Strip:
        style = _CHOSEN if number == self.chosen and self.has_focus else BOLD
        name = set_cell_size(safe(column.setting.name, lines=False), max(0, room - 3))
        return Strip([Segment(f" {name}", style), Segment(f"{self._mark(column)} ", style)])

    def _mark(self, column: Column) -> str:
        if column.compared is not None:
            return {"eos": "■", "stop": "✗", "failed": "✗"}.get(column.compared.reason, " ")
        return "▌" if column.tokens else " "

    def _text(self, column: Column, room: int, height: int) -> list[Strip]:
        items = [
            Item(token.index, safe(token.text or self.sweep.marks.get(token.id, "")) or NOTHING)
            for token in column.tokens
        ]
        column.layout.lay(items, room - 1)
        rows = column.layout.rows
        if column.compared is None and self._follow:
            first = max(0, len(rows) - height)
            first -= first % max(1, height // 2)  # a turned page is sent whole, so it is turned by half
            first = max(0, first if len(rows) - first <= height else len(rows) - height)
        else:
            first = min(self._top, max(0, len(rows) - height))
        strips, styles = [], ramp(self.app)
        for row in rows[first : first + max(0, height)]:
            segments = [Segment(" ")]
            segments += [Segment(text, surprise(column.tokens[place].logprob, styles)) for place, text in row]
            strips.append(Strip(segments).adjust_cell_length(room))
        return strips

    def hints(self) -> list[Hint]:
        columns, found = [self.sweep.columns[number] for number in self._seen], []
        for place, row in enumerate(hints.VIEWS["sweep"]):
            shown = [(column.setting.name, column.figures()[place]) for column in columns if column.compared]
            told = ", ".join(f"{name} {value}" for name, value in shown)
            text = f"{row.figure.format(run=RUN, values=told)} {row.meaning}"
            values = tuple(value for _, value in shown)
            names = dict.fromkeys((row.name, SHORT[place]))
            found += [Hint(name, values, text, row.term) for name in names if shown]
        return found

    # -- keys --------------------------------------------------------------------------------------------------------

    def action_choose(self, by: int) -> None:
        """Another column."""
        self._follow = False
        self.chosen = (self.chosen + by) % len(self.sweep.columns)
        self.draw()

    def action_roll(self, by: int) -> None:
        """Further up or down in the texts."""
        longest = max(len(column.layout.rows) for column in self.sweep.columns)
        self._follow = False
        self._top = max(0, min(self._top + by, longest - 1))
        self.draw()

    def action_take(self) -> None:
        """The chosen column becomes the text."""
        column = self.sweep.columns[self.chosen]
        if column.tokens:
            self.post_message(self.Taken(column))

    def action_leave(self) -> None:
        """Back to the text."""
        self.post_message(self.Left())
