"""The form of a training: beside the fields stand the facts of the corpus and the cost of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual import work
from textual.app import ComposeResult
from textual.timer import Timer
from textual.widgets import Button, Static
from textual.worker import get_current_worker

from checkpoints import home
from data.sources import existing
from data.vocabulary import Vocabulary
from engine import machine
from engine.gpt.spec import PRESET_HELP, PRESETS, TrainSpec, build
from engine.runs import queue
from engine.runs.several import combinations
from engine.runs.spec import Problem, spelled
from tui import units
from tui.follow.form import Form, rows
from tui.hints import Hint
from tui.text import safe
from tui.train.hints import facts as explain

DISTINCT = 72  # characters of a corpus that is not known yet
LARGE = 64 << 20  # bytes of a corpus that is not read while the form is filled in

FIRST = (
    ("F5", "train a small GPT and watch it learn"),
    ("2 and 3", "tokenize a text; generate text with a model"),
    ("4, 5, 6", "compare classifiers, multiple choice, search"),
    ("7 and F1", "list all runs; show all keys"),
)
"""shown before there is a run"""


class TrainForm(Form):
    """Fields that are not set follow the preset."""

    DEFAULT = TrainSpec()
    GO = "Start training"
    FILE = "form.json"
    BUILT_IN = frozenset({"dante", "dantesque"})

    def __init__(self) -> None:
        self._auto, self._reason = machine.preset_for(machine.likely_device(machine.has_driver()))
        self._corpus: tuple[int, Vocabulary, str] | None = None
        """characters, vocabulary and the first character"""
        self._corpus_problem = self._source = ""
        self._costs: list[tuple[str, str]] = []
        self._facts: list[tuple[str, str]] = []
        self._later: Timer | None = None
        super().__init__()

    def facts(self) -> ComposeResult:
        if not home.runs().exists():
            yield Static(rows("what you can do here", FIRST), id="welcome")
        yield Static(id="cost")
        yield Static(id="corpus-facts")

    def on_mount(self) -> None:
        # After the first picture: reading a corpus loads numpy, and that would hold the picture up.
        self.set_timer(0.2, lambda: self.edited(""))
        self.query_one("#go").focus()

    # -- values ------------------------------------------------------------------------------------------------------

    def followed(self, given: Mapping[str, str]) -> dict[str, str]:
        preset = given.get("preset", "auto")
        made = build({"preset": preset if preset in PRESETS else "auto"}, preset_for_auto=self._auto)
        return {**spelled(made), "preset": self.DEFAULT.preset}

    def made(self, given: Mapping[str, Any]) -> TrainSpec:
        specs = [build(one, preset_for_auto=self._auto) for one in combinations(self.kind, given)]
        first, *more = [spec.for_corpus(*self._corpus) for spec in specs] if self._corpus else specs
        self.more = tuple(more)
        return first

    def wrong(self, values: Mapping[str, str]) -> list[Problem]:
        return [Problem("corpus", self._corpus_problem)] if self._corpus_problem else []

    def edited(self, name: str) -> None:
        if name in ("", "corpus", "encoding"):
            if self._later is not None:
                self._later.stop()
            # A path that is being typed names folders on its way, which would all be read.
            self._later = self.set_timer(
                0.15 if name else 0.001, lambda: self._look_at_corpus(self.text("corpus"), self.text("encoding"))
            )

    # -- beside the fields -------------------------------------------------------------------------------------------

    def explained(self) -> str:
        preset = self.text("preset")
        about = f"{self._reason}, so auto uses {self._auto}: {PRESET_HELP[self._auto]}."
        if preset in PRESETS:
            about = f"{preset}: {PRESET_HELP[preset]}."
        return f"{about}\nSeveral values of a number, such as 1e-3,3e-3 or 1..3, make several runs."

    def refreshed(self, spec: TrainSpec | None) -> None:
        several = f"{len(self.more) + 1:,} runs, {queue.manner(spec.device, spec.gpus)}" if spec and self.more else ""
        self.query_one("#go", Button).label = f"{several or self.GO}   F5"
        self._costs = self._cost(spec) if spec else []
        self.query_one("#cost", Static).update(rows("cost", self._costs) if self._costs else "")
        title = f"corpus {safe(self._source, lines=False)}"
        self.query_one("#corpus-facts", Static).update(rows(title, self._facts) if self._facts else "")

    def facts_hints(self) -> Sequence[Hint]:
        return explain([*self._costs, *self._facts], len(self._corpus[1]) if self._corpus else DISTINCT)

    def _cost(self, spec: TrainSpec) -> list[tuple[str, str]]:
        characters, distinct = (self._corpus[0], len(self._corpus[1])) if self._corpus else (0, DISTINCT)
        shape = spec.model(distinct)
        needed, free = shape.training_memory(spec.batch), machine.available_memory()
        tokens = spec.batch * spec.context
        entries = [
            ("parameters", f"{shape.parameters():,}"),
            ("memory", f"{units.size(needed)} of {units.size(free)} free"),
            ("per step", f"{tokens:,} characters"),
        ]
        if characters:
            entries.append(("one epoch", f"{characters * 0.9 / tokens:,.1f} steps"))
            entries.append(("whole run", f"{spec.steps * tokens / (characters * 0.9):,.1f} epochs"))
        if spec.sample_every and spec.unseen:
            entries.append(("prompt", f"first {spec.unseen:,} characters exceed the context"))
        return entries

    # -- the corpus --------------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True, group="corpus", exit_on_error=False)
    def _look_at_corpus(self, source: str, encoding: str) -> None:
        """Read the corpus off the event loop, as far as that needs no network."""
        from data import dante
        from data.corpus import Head
        from data.encodings import TextError
        from engine.runs.messages import finish

        worker = get_current_worker()
        cache, path = home.cache(), existing(source)
        problem, corpus, facts = "", None, []
        try:
            if source == "dante" and not (cache / "inferno.txt").exists():
                facts = [
                    ("Inferno", "downloaded once, when training starts"),
                    ("offline", "trains on 'dantesque' instead:"),
                    ("", "verse sampled from the bundled model"),
                    ("your text", "enter the path of a text file"),
                ]
            elif source not in self.BUILT_IN and path and (head := Head.of(path, encoding, LARGE)).large:
                facts = [(path.name, "large; read when training starts"), *_read(head.encoding, head.excerpt)]
            else:
                corpus = finish(dante.load(source, cache=cache, encoding=encoding))
        except (OSError, TextError) as error:
            problem = str(error)
        if corpus is not None:
            facts = _facts(corpus, source)
        if not worker.is_cancelled:
            known = (corpus.facts.characters, corpus.vocabulary, corpus.text(0, 1)) if corpus else None
            self.app.call_from_thread(self._know_corpus, source, known, facts, problem)

    def _know_corpus(
        self, source: str, known: tuple[int, Vocabulary, str] | None, facts: list[tuple[str, str]], problem: str
    ) -> None:
        self._corpus, self._corpus_problem = known, problem
        self._source, self._facts = source, facts
        self.refresh_all()


def _facts(corpus: Any, source: str) -> list[tuple[str, str]]:
    """Names and values of what there is to know about a corpus."""
    facts = corpus.facts
    found = [
        ("characters", f"{facts.characters:,}, {facts.distinct} distinct"),
        ("ln V", f"{facts.uniform:.3f}  uniform"),
        ("unigrams", f"{facts.unigram:.3f}  letter frequencies"),
        ("bigrams", f"{facts.bigram:.3f}  letter pairs"),
        *(("cut", str(cut).removeprefix("cut ")) for cut in corpus.cuts),
        *_read(corpus.encoding, corpus.excerpt),
        *(("", notice) for notice in corpus.notices),
    ]
    if "\n" not in corpus.vocabulary.characters:
        found.append(("samples", f"begin with {corpus.text(0, 1)!r}: no line break"))
    if source == "dantesque":
        found.append(("", "verse sampled from the bundled Dante model,"))
        found.append(("", "not Dante; for Dante enter a text file"))
    return found


def _read(encoding: str, excerpt: str) -> list[tuple[str, str]]:
    """How a text was read: its encoding and its first two lines."""
    first, _, second = excerpt.partition("\n")
    return [("encoding", encoding), ("begins", first), ("", second)]
