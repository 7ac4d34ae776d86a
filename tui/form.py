"""Forms: what all have in common, and that of a training, with its cost and the values of the last start."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Static

from checkpoints import home
from data.vocabulary import Vocabulary
from engine import machine
from engine.gpt.spec import PRESET_HELP, PRESETS, TrainSpec, build
from engine.runs.spec import BadSpec, Problem
from tui import last_values, units
from tui.field import Field
from tui.styles import style_sheet
from tui.text import safe

LAST = "form.json"  # under the home: what the form was started with last
FIELDS = (
    ("run", ("corpus", "preset", "name", "steps", "seed")),
    ("model", ("layers", "heads", "width", "context", "dropout")),
    ("training", ("batch", "learning_rate", "evaluate_every", "patience")),
    ("samples", ("sample_every", "sample_prompt", "temperature")),
)


class Choice(Widget, can_focus=True):
    """A few values in one line; left and right choose."""

    DEFAULT_CSS = """
    Choice { height: 1; width: 1fr; padding: 0 1; background: $surface; }
    Choice:focus { background: $primary 25%; }
    """
    BINDINGS = [
        Binding("left", "step(-1)", "Previous", show=False),
        Binding("right,space", "step(1)", "Next", show=False),
    ]
    value: reactive[str] = reactive("")

    @dataclass
    class Changed(Message):
        """Another value was chosen."""

        choice: Choice

        @property
        def control(self) -> Choice:
            return self.choice

    def __init__(self, values: tuple[str, ...], value: str, *, id: str) -> None:
        super().__init__(id=id)
        self._values = values
        self.set_reactive(Choice.value, value)

    def render(self) -> Content:
        room = " " if sum(len(value) + 3 for value in self._values) - 1 <= self.size.width else ""
        parts = []
        for value in self._values:
            chosen = value == self.value
            parts.append(Content.styled(f"{room}{value}{room}", "reverse bold" if chosen else "$foreground 60%"))
        return Content(" ").join(parts)

    def watch_value(self) -> None:
        self.post_message(self.Changed(self))

    def action_step(self, by: int) -> None:
        """Choose the value ``by`` places on."""
        self.value = self._values[(self._values.index(self.value) + by) % len(self._values)]

    def on_click(self) -> None:
        self.action_step(1)


class Form(Container):
    """Fields in sections on the left, with a button above them; what is wrong with their values beside them."""

    PREFIX: ClassVar[str] = ""
    """of the ids of its widgets"""
    BINDINGS = [
        Binding("down", "app.focus_next", "Next field", show=False),
        Binding("up", "app.focus_previous", "Field before", show=False),
    ]
    SCOPED_CSS = False  # the classes for narrow and low screens sit on the screen
    DEFAULT_CSS = style_sheet(__file__)

    def fields(self, go: str, sections: Iterable[tuple[str, Iterable[str]]]) -> ComposeResult:
        """The button, which says ``go``, and below it the fields by section."""
        yield Button(f"{go}   F5", id=f"{self.PREFIX}go", classes="go", variant="primary", compact=True)
        for title, names in sections:
            yield Label(title, classes="section")
            for name in names:
                with Horizontal(classes="field", id=f"{self.PREFIX}row-{name}"):
                    yield Label(self.label(name))
                    yield self.widget(name, f"{self.PREFIX}field-{name}")

    def label(self, name: str) -> str:
        """A field as people read it."""
        return name.replace("_", " ")

    def widget(self, name: str, ident: str) -> Widget:
        """The widget of a field; its ``value`` is text."""
        raise NotImplementedError

    def field(self, name: str) -> Any:
        """The widget of a field that is on the screen."""
        return self.query_one(f"#{self.PREFIX}field-{name}")

    def name_of(self, widget: Widget) -> str:
        """The field that a widget is of."""
        return (widget.id or "").removeprefix(f"{self.PREFIX}field-")

    def show_problems(self, problems: Sequence[Problem], text: str) -> None:
        """Mark the fields that are wrong, and say what is wrong with them."""
        bad = {problem.field for problem in problems}
        for row in self.query(".field"):
            row.set_class((row.id or "").removeprefix(f"{self.PREFIX}row-") in bad, "-bad")
        self.query_one(".problems", Static).update(Content(safe(text)))

    def start_or_tell(self) -> None:
        """Start with these values, or go to what is wrong with them."""
        raise NotImplementedError

    def entered(self, name: str) -> None:
        """Enter was pressed in a field that is typed into."""
        self.start_or_tell()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.start_or_tell()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.entered(self.name_of(event.input))


class TrainForm(Form):
    """Fields, facts about the corpus, cost of the model, and everything that is wrong."""

    @dataclass
    class Wanted(Message):
        """The user wants to train this."""

        spec: TrainSpec

    def __init__(self) -> None:
        super().__init__(id="form")
        kind = machine.likely_device(machine.Gpus().read())
        self._auto, self._reason = machine.preset_for(kind)
        self._touched: set[str] = set()
        self._put: dict[str, str] = {}  # what the program wrote into each field; anything else there is the user's
        self._problems: list[Problem] = []
        self._corpus: tuple[int, Vocabulary, str] | None = None  # characters, vocabulary and the first character
        self._corpus_problem = ""
        self._facts = Content("")
        self._recalled = last_values.read(LAST, ("preset", *(name for _, names in FIELDS for name in names)))
        preset = self._recalled.get("preset", "auto")
        self._preset = preset if preset in PRESETS else "auto"
        """at first; the values of the other fields follow from it"""
        self._first = build({"preset": self._preset}, preset_for_auto=self._auto)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="fields", classes="fields", can_focus=False):
            yield from self.fields("Start training", FIELDS)
        with VerticalScroll(id="side", classes="side", can_focus=False):
            yield Static(id="problems", classes="problems")
            yield Static(id="cost")
            yield Static(id="corpus-facts")
            yield Static(id="why", classes="why")

    def widget(self, name: str, ident: str) -> Widget:
        if name == "preset":
            return Choice(("auto", *PRESETS), self._preset, id=ident)
        value = self._put[name] = _shown(self._recalled.get(name, getattr(self._first, name)))
        if name in self._recalled:
            self._touched.add(name)
        hint = str(next(entry for entry in dataclasses.fields(TrainSpec) if entry.name == name).metadata["help"])
        return Field(value, id=ident, compact=True, select_on_focus=False, placeholder=hint)

    def on_mount(self) -> None:
        # After the first picture: reading a corpus loads numpy, and that would hold the picture up.
        self.set_timer(0.2, lambda: self._look_at_corpus(self.field("corpus").value))
        self._refresh()
        self.query_one("#go").focus()

    # -- values ------------------------------------------------------------------------------------------------------

    def given(self) -> dict[str, Any]:
        """What the user set, by field; untouched fields are left to the preset."""
        values: dict[str, Any] = {"preset": self.query_one(Choice).value}
        for name, put in self._put.items():
            value = self.field(name).value
            if name in self._touched or value != put:
                values[name] = _read(name, value)
        return values

    def spec(self) -> TrainSpec:
        """The spec that the form describes. Raises :class:`engine.runs.spec.BadSpec`."""
        spec = build(self.given(), preset_for_auto=self._auto)
        if self._corpus_problem:
            raise BadSpec([Problem("corpus", self._corpus_problem)])
        return spec.for_corpus(*self._corpus) if self._corpus else spec

    def fill(self, spec: TrainSpec) -> None:
        """Show the values of a spec, as if the user had set them."""
        base = build({"preset": spec.preset}, preset_for_auto=self._auto)
        self._touched = {name for name in self._put if getattr(spec, name) != getattr(base, name)}
        self.query_one(Choice).value = spec.preset
        for name in self._put:
            self._put[name] = self.field(name).value = _shown(getattr(spec, name))
        self._look_at_corpus(spec.corpus)
        self._refresh()

    def reset(self) -> None:
        """The form as it comes: nothing of what the user set."""
        base = build({}, preset_for_auto=self._auto)
        self._touched.clear()
        self.query_one(Choice).value = "auto"
        with self.prevent(Input.Changed):
            for name in self._put:
                self._put[name] = self.field(name).value = _shown(getattr(base, name))
        self._look_at_corpus(base.corpus)
        self._refresh()

    def start(self) -> bool:
        """Ask for a run with these values; False when something is wrong with them."""
        try:
            self.post_message(self.Wanted(self.spec()))
        except BadSpec:
            self._refresh()
            self.show_problem()
            return False
        self._remember(self.given())
        return True

    @work(thread=True, group="remember", exit_on_error=False)
    def _remember(self, values: dict[str, Any]) -> None:
        kept = {name: value for name, value in values.items() if name != "name"}
        if kept.get("corpus") not in (None, "dante", "dantesque"):  # the next start may stand in another folder
            kept["corpus"] = str(Path(os.path.expanduser(kept["corpus"])).absolute())
        last_values.write(LAST, kept)

    def show_problem(self) -> None:
        """Move to the first field that is wrong."""
        names = [problem.field for problem in self._problems]
        if names and names[0] and (found := self.query(f"#field-{names[0]}")):
            found.first().focus()
        self.app.bell()

    # -- reactions ---------------------------------------------------------------------------------------------------

    def start_or_tell(self) -> None:
        self.start()

    @on(Input.Changed)
    def _edited(self, event: Input.Changed) -> None:
        event.stop()
        name = self.name_of(event.input)
        if name not in self._touched and event.value == self._put[name]:
            return
        self._touched.add(name)
        if name == "corpus":
            self._look_at_corpus(event.value)
        self._refresh()

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self._refresh()

    def _refresh(self) -> None:
        """Show what follows from the values: preset's fields, problems, cost."""
        preset = self.query_one(Choice).value
        base = build({"preset": preset}, preset_for_auto=self._auto)
        with self.prevent(Input.Changed):
            for name, put in self._put.items():
                field = self.field(name)
                if name not in self._touched and name != "corpus" and field.value == put:
                    self._put[name] = field.value = _shown(getattr(base, name))
        try:
            spec, self._problems = self.spec(), []
        except BadSpec as error:
            spec, self._problems = None, error.problems
        self.show_problems(self._problems, "\n".join(f"✗ {problem}" for problem in self._problems))
        chosen = self._auto if preset == "auto" else preset
        why = f"{chosen}: {PRESET_HELP[chosen]}."
        if preset == "auto":
            why = f"auto is {chosen}, since {self._reason}. {why}"
        back = "\nu takes back what you set." if self._touched else ""
        self.query_one("#why", Static).update(Content(f"\n{why}\n↑↓ or Tab between fields, F1 for help.{back}"))
        self.query_one("#cost", Static).update(self._cost(spec) if spec else Content(""))
        self.query_one("#corpus-facts", Static).update(self._facts)

    def _cost(self, spec: TrainSpec) -> Content:
        characters, distinct = (self._corpus[0], len(self._corpus[1])) if self._corpus else (0, 72)
        shape = spec.model(distinct)
        needed, free = shape.training_memory(spec.batch), machine.available_memory()
        rows = [
            ("parameters", f"{shape.parameters():,}"),
            ("memory", f"{units.size(needed)} of {units.size(free)} free"),
        ]
        tokens = spec.batch * spec.context
        rows.append(("per step", f"{tokens:,} characters"))
        if characters:
            rows.append(("one epoch", f"{characters * 0.9 / tokens:,.1f} steps"))
            rows.append(("whole run", f"{spec.steps * tokens / (characters * 0.9):,.1f} epochs"))
        return _rows("cost", rows)

    # -- the corpus --------------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="corpus", exit_on_error=False)
    def _look_at_corpus(self, source: str) -> None:
        """Read the corpus off the event loop, as far as that needs no network."""
        from textual.worker import get_current_worker

        from data import dante
        from data.corpus import CorpusError
        from engine.runs.messages import finish

        worker = get_current_worker()
        cache = home.cache()
        problem, corpus, rows = "", None, []
        try:
            if source == "dante" and not (cache / "inferno.txt").exists():
                rows = [
                    ("Inferno", "fetched once, when training starts"),
                    ("no network?", "'dantesque' trains instead:"),
                    ("", "verse sampled from the bundled model"),
                    ("your text", "give the path of any .txt file"),
                ]
            elif source not in ("dante", "dantesque") and _large(source):
                rows = [(Path(source).name, "large: it is read when training starts")]
            else:
                corpus = finish(dante.load(source, cache=cache))
        except CorpusError as error:
            problem = str(error)
        if corpus is not None:
            facts = corpus.facts
            rows = [
                ("characters", f"{facts.characters:,}, {facts.distinct} distinct"),
                ("ln V", f"{facts.uniform:.3f}  knowing nothing"),
                ("letters", f"{facts.unigram:.3f}  their frequencies"),
                ("pairs", f"{facts.bigram:.3f}  the one before"),
                *(("cut", str(cut).removeprefix("cut ")) for cut in corpus.cuts),
            ]
            if "\n" not in corpus.vocabulary.characters:
                rows.append(("samples", f"begin with {corpus.text(0, 1)!r}: it has no line break"))
            if source == "dantesque":
                rows.append(("", "verse sampled from the bundled Dante model,"))
                rows.append(("", "not Dante: for that give a text file"))
        if not worker.is_cancelled:
            known = (corpus.facts.characters, corpus.vocabulary, corpus.text(0, 1)) if corpus else None
            self.app.call_from_thread(self._know_corpus, source, known, rows, problem)

    def _know_corpus(
        self, source: str, known: tuple[int, Vocabulary, str] | None, rows: list[tuple[str, str]], problem: str
    ) -> None:
        self._corpus = known
        self._corpus_problem = problem
        self._facts = _rows(f"corpus {safe(source, lines=False)}", rows) if rows else Content("")
        self._refresh()


def _rows(title: str, rows: list[tuple[str, str]]) -> Content:
    lines = [Content.styled(title, "bold $primary")]
    for name, value in rows:
        lines.append(Content.assemble(Content.styled(f"{safe(name):<12}", "$foreground 60%"), Content(safe(value))))
    return Content("\n").join(lines) + Content("\n")


def _large(source: str) -> bool:
    try:
        return Path(os.path.expanduser(source)).stat().st_size > 64 * 1024 * 1024
    except OSError:
        return False


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("\n", "\\n")


def _read(name: str, text: str) -> str:
    return text.replace("\\n", "\n") if name == "sample_prompt" else text.strip()
