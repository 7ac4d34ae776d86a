"""The funnel: what could stand at one place, from the model's own probability to that of the draw, cuts included."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding
from textual.strip import Strip

from engine.lm.sampling import Sampling
from engine.runs.events import Candidate, Token
from tui.generate.token_tree import Node
from tui.generate.token_view import NOTHING
from tui.text import safe
from tui.widgets.lines import FocusLines
from tui.widgets.styled import ACCENT, BOLD, DIM, MUTED, PLAIN, SELECTED, cut, strips, wrap
from tui.widgets.styled import bar as eighths

CUT = Style(color=MUTED, strike=True)
ROW = Style.parse(SELECTED)
PICK = Style(color=ACCENT)
SMALLEST = 0.0001  # probability of a candidate that has a line
CUTS = {"top_k": "top-k", "top_p": "top-p", "min_p": "min-p", "greedy": "greedy"}


@dataclass(frozen=True)
class Position:
    """What is known of the place under the cursor."""

    place: int = 0
    node: Node | None = None
    """the token there; None at the end of the text"""
    branch: tuple[int, int] = (0, 0)
    seen: Token | None = None
    """a draw at this place, with its candidates"""
    sampling: Sampling | None = None
    """the settings of that draw; None when the candidates show the model alone"""
    note: str = ""
    """why there are no candidates"""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What could stand here, the most probable first."""
        return self.seen.candidates if self.seen is not None else ()


def percent(probability: float) -> str:
    """Five cells: ``12.3``, ``0.04``, ``<0.01``, ``100``; of a hundred."""
    value = 100 * probability
    if value >= 99.95:
        return "  100"
    if value >= 10:
        return f"{value:5.1f}"
    if value >= 0.01 or value == 0:
        return f"{value:5.2f}"
    return "<0.01"


def mark_spaces(text: str) -> str:
    """A token's text in one line, its spaces and breaks visible."""
    shown = safe(text, lines=False)
    return shown.replace(" ", "␣") if shown else NOTHING


def cut_mass(position: Position) -> float:
    """The share of the probability, after temperature, that the settings cut away."""
    kept = [one for one in position.candidates if one.final > 0 and one.tempered > 0]
    return max(0.0, 1 - kept[0].tempered / kept[0].final) if kept and not _greedy(position) else 0.0


def title(position: Position) -> str:
    """Which place the candidates are of."""
    node, seen = position.node, position.seen
    if node is None:
        entropy = f", entropy {seen.entropy:.2f} nats" if seen and seen.entropy is not None else ""
        return f"next token, at {position.place:,}{entropy}"
    return f"token {position.place:,}, {mark_spaces(node.text)[:16]}"


def card(position: Position, width: int) -> list[Strip]:
    """Two lines about the token itself; none at the end of the text."""
    node = position.node
    if node is None:
        return []
    lines = []
    for facts in about(position, node):
        segments = []
        for name, value in facts:
            segments += [Segment(f" {name} " if name else " ", DIM), Segment(f"{value} ", BOLD)]
        lines.append(_line(segments, width))
    return lines


def about(position: Position, node: Node) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Two lines of names and values."""
    kind = "chosen by you" if node.chosen else "prompt" if node.prompt else "completion"
    own = f"{percent(math.exp(min(0.0, node.logprob))).strip()} %" if node.logprob is not None else "–"
    facts = [
        ("p", own),
        ("rank", f"{node.rank:,}" if node.rank is not None else "–"),
        ("entropy", f"{node.entropy:.2f}" if node.entropy is not None else "–"),
    ]
    more = [("", kind)]
    if node.drawn_logprob is not None:
        more.append(("drawn", f"{percent(math.exp(min(0.0, node.drawn_logprob))).strip()} %"))
    if node.kept is not None:
        more.append(("kept", f"{node.kept:,}"))
    if position.branch[1] > 1:
        more.append(("branch", f"{position.branch[0]} of {position.branch[1]}"))
    elif node.id >= 0:
        more.append(("id", f"{node.id}"))
    return facts, more


def draw(position: Position, picked: int, width: int, height: int) -> list[Strip]:
    """A line for each candidate that has room and 0.01 %, the rest as one, then what was cut."""
    if not position.candidates:
        note = wrap(Text(position.note, MUTED), width - 1)
        return strips([Text(" ").append_text(line) for line in note], width, height)
    sampling = position.sampling
    bar = max(0, min(24, width - 35))
    word = max(4, width - bar - 23)
    tempered, last = heads(sampling)
    header = f"{'%':>{2 + word + bar}}"
    lines = [_line([Segment(f"{header} {'model':>5}  {tempered:>5}  {last:>6}", DIM)], width)]
    first, shown = rows_of(position, picked, height)
    most = max(max(one.probability, one.final) for one in position.candidates)
    here = position.node.id if position.node is not None else None
    for number, one in enumerate(shown, first):
        lines.append(_row(one, number == picked, one.id == here, position, (word, bar), most, width))
    if left := len(position.candidates) - first - len(shown):
        lines.append(_line([Segment(f"  … {left:,} more", DIM)], width))
    if height > 2:
        lines.append(_line(_cuts(position), width))
    return lines[:height]


def heads(sampling: Sampling | None) -> tuple[str, str]:
    """The heads of the columns after the model's own probability."""
    tempered = "T" if sampling is None or sampling.greedy else f"T {sampling.temperature:g}"
    return tempered, "greedy" if sampling is not None and sampling.greedy else "drawn"


def rows_of(position: Position, picked: int, height: int) -> tuple[int, list[Candidate]]:
    """The place of the first candidate that has a line of ``height``, and those that have one."""
    shown = [one for one in position.candidates if max(one.probability, one.final) >= SMALLEST]
    shown = shown if len(shown) > picked else list(position.candidates[: picked + 1])
    rows = max(1, height - 2 - (len(shown) < len(position.candidates)))
    rows = rows if len(shown) <= rows else max(1, height - 3)
    first = max(0, min(picked - rows // 2, len(shown) - rows))
    return first, shown[first : first + rows]


def _row(
    one: Candidate, picked: bool, here: bool, position: Position, sizes: tuple[int, int], most: float, width: int
) -> Strip:
    word, bar = sizes
    background = ROW if picked else PLAIN
    quiet = background if picked else DIM
    name = cut(mark_spaces(one.text), word - 1).rstrip()
    values = row_values(one, position.sampling)
    style = CUT if one.cut else BOLD if here else PLAIN
    segments = [
        Segment("▸" if picked else " ", PICK + Style(bgcolor=background.bgcolor)),
        Segment("•" if here else " ", BOLD + background),
        Segment(name, style + background),
        Segment(" " * (word - cell_len(name)), background),
    ]
    if bar:
        segments.append(Segment(eighths(one.probability / most if most else 0.0, bar - 1) + " ", quiet))
    segments.append(Segment(f" {values[0]}", background))
    last = quiet if one.cut or position.sampling is None else BOLD + background
    segments += [Segment(f"  {values[1]:>5}  ", quiet), Segment(f"{values[2]:>6}", last)]
    return Strip(segments).simplify().adjust_cell_length(width, background)


def row_values(one: Candidate, sampling: Sampling | None) -> tuple[str, str, str]:
    """A candidate's probability under the model, after temperature, and after the cuts, or what cut it."""
    if sampling is None:
        return percent(one.probability), "", ""
    tempered = "" if one.cut == "greedy" else percent(one.tempered)
    return percent(one.probability), tempered, CUTS.get(one.cut, one.cut) if one.cut else percent(one.final)


def kept_of(position: Position) -> tuple[str, str]:
    """How many tokens the settings left, and which share of the probability they cut; empty where that is nothing."""
    kept = f"{position.seen.kept:,} kept" if position.seen is not None and position.seen.kept is not None else ""
    mass = cut_mass(position)
    return kept, f"{percent(mass).strip()}% cut" if mass >= 5e-5 else ""


def _cuts(position: Position) -> list[Segment]:
    """How much the settings left, in words."""
    seen = position.seen
    if position.sampling is None or seen is None:
        return [Segment("  probabilities of the model, before the settings", DIM)]
    if _greedy(position):
        return [Segment("  greedy: the most probable token", DIM)]
    kept, lost = kept_of(position)
    kept = f"  {kept}" if kept else " "
    if not lost:
        return [Segment(f"{kept}, nothing cut", DIM)]
    names = dict.fromkeys(CUTS[one.cut] for one in position.candidates if one.cut in CUTS)
    by = f" by {', '.join(names)}" if names else ""
    return [Segment(f"{kept}, ", DIM), Segment(f"{lost}{by}", DIM)]


def _greedy(position: Position) -> bool:
    return position.sampling is not None and position.sampling.greedy


def _line(segments: list[Segment], width: int) -> Strip:
    return Strip(segments).adjust_cell_length(width)


class CandidateView(FocusLines):
    """Shows a :class:`Position`; up and down pick a candidate, Enter takes it."""

    DEFAULT_CSS = "CandidateView { height: 1fr; width: 1fr; }"
    BINDINGS = [
        Binding("up", "pick(-1)", "Up", show=False),
        Binding("down", "pick(1)", "Down", show=False),
    ]

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, classes="panel")
        self.position = Position()
        self._picked: int | None = None
        self._most: int | None = None

    @property
    def picked(self) -> int:
        """The candidate that Enter takes: the one picked, else the one that stands there, else the most probable."""
        if self._picked is not None:
            return max(0, min(self._picked, len(self.position.candidates) - 1))
        here = self.position.node.id if self.position.node is not None else None
        return next((n for n, one in enumerate(self.position.candidates) if one.id == here), 0)

    @property
    def candidate(self) -> Candidate | None:
        """The candidate that is picked."""
        return self.position.candidates[self.picked] if self.position.candidates else None

    def show(self, position: Position, most: int | None = None) -> None:
        """Show another position, no more than ``most`` candidates; what was picked stays picked at the same place."""
        if position.place != self.position.place or position.node is not self.position.node:
            self._picked = None
        self.position, self._most = position, most
        self.draw()

    def draw(self) -> None:
        """Bring the lines up to date."""
        if self.size:
            width = self.size.width
            self.entitle(title(self.position), "Enter picks ▸ and continues" if self.position.candidates else "")
            head = card(self.position, width)
            self.set_strips([*head, *draw(self.position, self.picked, width, self.room)])

    @property
    def room(self) -> int:
        """Lines for the candidates."""
        room = self.size.height - len(card(self.position, self.size.width))
        return room if self._most is None else min(room, self._most + 2)

    def action_pick(self, by: int) -> None:
        """The candidate ``by`` places on."""
        if self.position.candidates:
            self._picked = max(0, min(self.picked + by, len(self.position.candidates) - 1))
            self.draw()
