"""The lab as lines: the list of exercises, and the text of one with its steps, claims and answers. Knows no widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from tui.text import safe
from tui.widgets.lines import pointing
from tui.widgets.panel import Frame
from tui.widgets.styled import (
    ACCENT,
    BAD,
    BRIGHT,
    GOOD,
    MUTED,
    SELECTED,
    SELECTED_MARK,
    TEXT,
    TITLE,
    WARN,
    cut,
    paragraph,
    side_by_side,
    wrap,
)

if TYPE_CHECKING:
    from engine.lab.exercise import Exercise, Outcome, State, Step
    from engine.lab.progress import Lab, StepState
    from engine.lab.results import Tokenized

MARKS: dict[State, tuple[str, str]] = {
    "not started": ("○", MUTED),
    "running": ("●", GOOD),
    "done": ("✓", GOOD),
    "failed": ("✗", BAD),
}
OUTCOMES: dict[Outcome, tuple[str, str]] = {
    "holds": ("✓", GOOD),
    "does not hold": ("✗", BAD),
    "could be chance": ("▲", WARN),
    "not tested": ("○", MUTED),
}
"""mark and colour by verdict"""
ABOUT = "llmlab-tui trains, examines and compares language models in this terminal."
FIRST = "Enter starts exercise 1."
LIST = 46  # cells of the list beside the text
TIGHT = 20  # lines below which the list is one line


@dataclass(frozen=True)
class Shown:
    """What the pane knows, and what of it is selected."""

    lab: Lab | None = None
    """None until it has been read"""
    place: int = 0
    """of the selected step among the steps of all exercises"""
    minutes: str = ""
    """estimated time left, in words"""
    working: str = ""
    """the measurement that is under way"""
    progress: str = ""
    """how far it is, in words"""
    top: int = 0
    """lines of the text above the first that is shown"""

    @property
    def exercises(self) -> Sequence[Exercise]:
        """All of them."""
        return self.lab.exercises if self.lab is not None else ()

    @property
    def steps(self) -> list[tuple[Exercise, Step]]:
        """Every step, with its exercise."""
        return [(exercise, step) for exercise in self.exercises for step in exercise.steps]

    @property
    def here(self) -> tuple[Exercise, Step]:
        """The selected step, with its exercise."""
        return self.steps[self.place]

    def state_of(self, step: Step) -> State:
        """Of a step; what this pane measures now is running."""
        found = self.found(step)
        if found is not None and found.state == "done":
            return "done"
        if self.working and step.work == self.working and step.kind == "work":
            return "running"
        return found.state if found is not None else "not started"

    def found(self, step: Step) -> StepState | None:
        """What is known of a step."""
        return self.lab.steps.get(step.name) if self.lab is not None else None

    def done(self, exercise: Exercise) -> int:
        """Steps of an exercise that are done."""
        return sum(self.state_of(step) == "done" for step in exercise.steps)

    def state(self, exercise: Exercise) -> State:
        """Of an exercise: that of its steps."""
        states = [self.state_of(step) for step in exercise.steps]
        for state in ("running", "failed"):
            if state in states:
                return state
        return "done" if all(one == "done" for one in states) else "not started"

    def guessing(self, exercise: Exercise) -> bool:
        """Whether guesses are still to be made in an exercise."""
        return any(step.kind == "guess" and self.state_of(step) != "done" for step in exercise.steps)

    def hides(self, exercise: Exercise, step: Step) -> bool:
        """Whether what came of a step is hidden until the guesses are made."""
        return step.kind in ("work", "claim") and self.guessing(exercise)


def draw(shown: Shown, width: int, height: int, *, active: bool) -> tuple[list[Strip], int]:
    """Exactly ``height`` lines of ``width`` cells, and how many lines of the text are above the first that is shown.

    ``active``: the keys act here.
    """
    frame = Frame(width)
    if shown.lab is None:
        return frame.panel("the lab", paragraph("Reading what has been done…", width - frame.across), width, height), 0
    done, total = sum(map(shown.done, shown.exercises)), len(shown.steps)
    title = "the quick lab" if shown.lab.quick else "the lab"
    subtitle = f"{done} of {total}" + (f" · about {shown.minutes} left" if shown.minutes and done < total else "")
    if not frame.boxed:
        rows = strip_of(shown, width - frame.across) if height < TIGHT else list_of(shown, width - frame.across)
        listed = frame.panel(title, rows, width, subtitle=subtitle)
        text, top = _text(shown, frame, width, height - len(listed), active=active)
        return [*listed, *text], top
    inside = LIST - frame.across
    listed = frame.panel(title, list_of(shown, inside), LIST, subtitle=subtitle)
    facts = facts_of(vars(shown.lab.settings), inside)
    below = frame.panel("data and models", facts, LIST, height - len(listed), "d changes them")
    text, top = _text(shown, frame, width - LIST, height, active=active)
    return side_by_side([([*listed, *below], LIST), (text, width - LIST)], height), top


def list_of(shown: Shown, width: int) -> list[Text]:
    """A line for each exercise: state, number, title, steps done of all."""
    lines, place = [], 0
    for exercise in shown.exercises:
        here = exercise is shown.here[0]
        count = f"{shown.done(exercise)}/{len(exercise.steps)}"
        line = Text("▸ " if here else "  ", BRIGHT, no_wrap=True).append(*MARKS[shown.state(exercise)])
        line.append(f" {exercise.number:<4} ", BRIGHT if here else MUTED)
        line.append(cut(exercise.title, width - line.cell_len - 7), TITLE if here else TEXT)
        line.append(count.rjust(width - line.cell_len), BRIGHT if here else MUTED)
        lines.append(pointing(line, place))
        place += len(exercise.steps)
    return lines


def strip_of(shown: Shown, width: int) -> list[Text]:
    """The exercises in one line: state and number of each."""
    line = Text(no_wrap=True)
    for exercise in shown.exercises:
        here = exercise is shown.here[0]
        line.append(" ▸ " if here else "   ", BRIGHT).append(*MARKS[shown.state(exercise)])
        line.append(f" {exercise.number}", TITLE if here else MUTED)
    return [line]


def facts_of(facts: Mapping[str, str], width: int) -> list[Text]:
    """Names and values of settings."""
    room = max(map(len, facts)) + 2
    return [
        Text.assemble((name.ljust(room), MUTED), (cut(safe(value, lines=False), width - room), BRIGHT))
        for name, value in facts.items()
    ]


def _text(shown: Shown, frame: Frame, width: int, height: int, *, active: bool) -> tuple[list[Strip], int]:
    """The panel of the selected exercise, and how far it is scrolled."""
    exercise, step = shown.here
    inside, room = width - frame.across, max(1, height - frame.down)
    lines = body(shown, inside - 2)[0]
    over = len(lines) > room
    top = max(0, min(shown.top, len(lines) - room))
    rows = []
    for place, line in enumerate(lines[top : top + room]):
        row = line.copy()
        if over and place == (top * (room - 1)) // max(1, len(lines) - room):
            row.pad_right(max(0, inside - 1 - row.cell_len))
            row.append("▐", MUTED)
        rows.append(row)
    subtitle = f"step {exercise.steps.index(step) + 1} of {len(exercise.steps)}"
    title = f"{exercise.number} {exercise.title}"
    return frame.panel(title, rows, width, height, subtitle, active=active), top


def visible(shown: Shown, width: int, height: int) -> int:
    """How far the text is to be scrolled so that the selected step is in sight; the sizes are those of the view."""
    if shown.lab is None:
        return 0
    frame = Frame(width)
    across, above = (LIST, 0) if frame.boxed else (0, 1 + (1 if height < TIGHT else len(shown.exercises)))
    room = max(1, height - above - frame.down)
    _, first, last = body(shown, width - across - frame.across - 2)
    exercise, step = shown.here
    if last <= room or (step is exercise.steps[0] and first + 2 <= room):  # the exercise is read first
        return 0
    return min(first, max(last - room, min(shown.top, first)))


def body(shown: Shown, width: int) -> tuple[list[Text], int, int]:
    """The text of the selected exercise and its steps, and the lines where the selected one begins and ends."""
    exercise, here = shown.here
    lines: list[Text] = []
    if exercise is shown.exercises[0] and not any(shown.state_of(step) != "not started" for _, step in shown.steps):
        lines += wrap(Text.assemble((f"{ABOUT} ", BRIGHT), (FIRST, TITLE)), width)
        lines.append(Text())
    lines += _paragraphs(exercise.text, width, TEXT)
    lines.append(Text())
    first = last = 0
    place = next(place for place, (one, _) in enumerate(shown.steps) if one is exercise)
    for number, step in enumerate(exercise.steps):
        block = _step(shown, exercise, step, width, selected=step is here)
        if step is here:
            first, last = len(lines), len(lines) + len(block)
        lines += [pointing(line, place + number) for line in block]
    return lines, first, last


def _step(shown: Shown, exercise: Exercise, step: Step, width: int, *, selected: bool) -> list[Text]:
    """One step: its row, its result, and of the selected one all that there is to say."""
    found, state = shown.found(step), shown.state_of(step)
    hidden = shown.hides(exercise, step)
    verdict = found.verdict if found is not None and not hidden else None
    row = Text("▌ " if selected else "  ", no_wrap=True).append(*MARKS[state]).append(" ")
    beside = _beside(shown, step, state, hidden=hidden, selected=selected)
    row.append(cut(step.title, max(8, width - 5 - beside.cell_len)), BRIGHT if selected else TEXT)
    row.pad_right(max(1, width - row.cell_len - beside.cell_len))
    row.append_text(beside)
    if selected:
        row.pad_right(max(0, width - row.cell_len))
        row.stylize(SELECTED)
        row.stylize(SELECTED_MARK.style, 0, 1)
    lines = [row]
    if state == "running" and step.work == shown.working:
        lines += _indented(shown.progress, width, TEXT)
    if selected:
        lines += _indented(step.text, width, TEXT)
        if step.hub and step.kind in ("work", "guess"):
            lines += _indented(f"With a network: {step.hub}", width, MUTED)
        if step.claim is not None:
            lines += _indented(f"Claim: {step.claim.text}", width, BRIGHT)
    if step.kind == "guess":
        lines += _indented(found.result, width, MUTED) if found is not None and found.result else []
        lines += guesses(shown, width) if selected else []
    elif step.kind == "answer":
        lines += _answer(shown, exercise, width, selected=selected)
    elif verdict is not None and selected:
        lines += _indented(f"Your results: {verdict.why}", width, TEXT)
    elif verdict is not None:
        lines += _indented(verdict.why, width, MUTED) if verdict.outcome != "not tested" else []
    elif found is not None and found.result and not hidden:
        lines += _indented(found.result, width, MUTED if not selected else TEXT)
    elif hidden and selected:
        lines += _indented("Results are shown after your guesses.", width, MUTED)
    if selected and not hidden and step.claim is not None and step.claim.notebook:
        lines += _indented(f"The course found: {step.claim.notebook}", width, MUTED)
    return lines


def _beside(shown: Shown, step: Step, state: State, *, hidden: bool, selected: bool) -> Text:
    """What stands at the right end of the row of a step: a verdict, how far it is, or the key that does it."""
    found = shown.found(step)
    if step.kind == "claim" and found is not None and found.verdict is not None and not hidden:
        mark, colour = OUTCOMES[found.verdict.outcome]
        return Text.assemble((f"{mark} ", colour), (found.verdict.outcome, TEXT))
    if state == "running":
        return Text("running", TEXT)
    if not selected or state == "done":
        return Text()
    key, does = {
        "guess": ("Enter", "asks for your guesses"),
        "answer": ("e", "writes it"),
    }.get(step.kind, ("Enter", "starts it" if state == "not started" else "resumes it"))
    return Text.assemble((key, ACCENT), (f" {does}", MUTED))


def guesses(shown: Shown, width: int) -> list[Text]:
    """The texts of the first question with the tokens that were guessed and, after that, those of the tokenizer."""
    if shown.lab is None or not shown.lab.guesses:
        return []
    tokens = shown.lab.results.tokens
    measured: dict[str, Tokenized] = {one.text: one for one in tokens.examples} if tokens is not None else {}
    texts = list(shown.lab.guesses)
    room = max(len(text) for text in texts) + 4
    lines = [Text.assemble("    ", ("text".ljust(room), MUTED), ("guess", MUTED), ("  tokens", MUTED))]
    for text in texts:
        guess, one = shown.lab.guesses[text], measured.get(text)
        line = Text("    ", no_wrap=True).append(f"“{safe(text, lines=False)}”".ljust(room), BRIGHT)
        line.append(f"{guess:>5}", BRIGHT)
        if one is not None:
            right = guess == len(one.ids)
            line.append(f"{len(one.ids):>8}", BRIGHT).append(*((" ✓", GOOD) if right else (" ✗", BAD)))
            line.append(f"   {' '.join(map(str, one.ids))}", MUTED)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    return lines


def _answer(shown: Shown, exercise: Exercise, width: int, *, selected: bool) -> list[Text]:
    """The question, and what the student wrote."""
    written = shown.lab.answers.get(exercise.number, "").strip() if shown.lab is not None else ""
    lines = _indented(exercise.question, width, TEXT) if selected else []
    return lines + _indented(written, width, BRIGHT)


def _indented(text: str, width: int, style: str) -> list[Text]:
    return [Text("    ").append_text(line) for line in _paragraphs(text, width - 4, style)]


def _paragraphs(text: str, width: int, style: str) -> list[Text]:
    """Wrapped lines of a text of several paragraphs."""
    return [line for part in safe(text).splitlines() for line in (wrap(Text(part, style), width) or [Text()])]
