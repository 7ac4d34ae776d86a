"""The Generate pane: what keys do to a text that a language model completes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from textual import on, work

from engine.lm import sweep as sweeps
from engine.lm.chat import Conversation
from engine.lm.sampling import Sampling, SetSampling
from engine.lm.sweep import Comparison
from engine.runs.messages import Continue, Pause
from tui.clipboard import copy
from tui.generate import generation_tasks as tasks
from tui.generate import hints
from tui.generate.candidate_cache import ids_before, source, spelled
from tui.generate.candidate_view import CandidateView
from tui.generate.completion import EDIT, SWEEP, WALK, CompletionPane
from tui.generate.session import read_text, write_text
from tui.generate.settings_strip import SettingsDialog, SettingsStrip
from tui.generate.sweep_view import Sweep, SweepView
from tui.generate.token_view import TokenView
from tui.pane import UseLadder, bindings
from tui.widgets.dialogs import Entry, ask_path
from tui.widgets.editor import Editor

SAMPLES = 4  # completions that are offered to be drawn at once
MOST_SAMPLES = 32
WAIT = 0.1  # seconds until it is looked again whether the text of last time has been read


class GeneratePane(CompletionPane):
    """Every key of the pane, and what the keys everywhere mean here."""

    WORKS = True
    START = "Complete"
    ABOUT = tuple((row.name, row.figure) for row in hints.VIEWS["about"])
    BINDINGS = bindings("generate")

    def __init__(self) -> None:
        super().__init__()
        self._ladder: UseLadder | None = None
        """begins once there is a model"""

    # -- keys everywhere ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Go on from the end of the text; from a pause, on with the same completion."""
        self.walk()
        self.session.sampling = self.query_one(SettingsStrip).accept() or self.sampling
        if self.writing:
            self.background.send(Continue())
        elif self.lm is None:
            self.start_wanted = True
            if self.background.kind != "load":
                self.load(tasks.first_choices(self.session.recent))
        elif self.background.kind in ("load", "chat"):
            self.start_wanted = True
        elif self.session.message is not None:
            self.start_wanted = True
            self.converse_again()
        elif self.conversation is not None and self.tokens.ended(self.lm.eos):
            self.say("the answer has ended: e writes another message, F8 draws another answer")
        else:
            self.tokens.remember()
            self.complete()

    def pause(self) -> None:
        if self.writing:
            self.background.send(Continue() if self.paused else Pause())

    def stop(self) -> None:
        """End what is under way, keeping what it made."""
        self.start_wanted = False
        self.background.stop()
        self.redraw()

    def sample(self) -> None:
        """The last completion again, with the next seed."""
        self.session.sampling = replace(self.sampling, seed=(self.sampling.seed + 1) % 2**63)
        self.query_one(SettingsStrip).show(self.sampling)
        self.action_again()

    def allows(self, action: str) -> bool:
        allowed = {"start": not self.writing or self.paused, "pause": self.writing, "stop": self.busy}
        return allowed.get(action, True)

    def take_model(self, name: str) -> None:
        self.load([(name, "")])

    def take_ladder(self, wanted: UseLadder) -> None:
        self._ladder = wanted
        if self.lm is not None and self.lm.name == wanted.models[0] and self.background.kind != "load":
            self.model_came()
        else:
            self.load([(name, "") for name in wanted.models])

    def model_came(self) -> None:
        """Begin the ladder that waited for a model."""
        if self._ladder is None or self.lm is None:
            return
        if not self.ready:
            self.set_timer(WAIT, self.model_came)
            return
        wanted, self._ladder = self._ladder, None
        base = Sampling(max_new_tokens=wanted.tokens)
        self.take(tasks.usual_prompt(self.lm, wanted.prompts))
        if wanted.begin:
            self._compare(lambda prompt: sweeps.ladder(prompt, base))

    # -- walking and branching ---------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "edit":
            return self.mode != EDIT
        if action in ("chat", "system"):
            return self.mode != SWEEP
        if action in ("take", "walk", "line", "page", "alternative"):
            return self.mode == WALK
        return True

    def lit(self, action: str) -> bool:
        """Whether the key bar has room for an action that says why it cannot be done."""
        now = {
            "walk_mode": self.mode != WALK,
            "chat": self.lm is not None and self.lm.chat is not None,
            "take(True)": bool(self.query_one(CandidateView).position.candidates),
            "again": self.tokens.tally(prompt=False)[0] > 0,
            "undo": self.tokens.undoable,
            "branch(1)": self.tokens.fork() is not None,
        }
        texts = ("again", "undo", "branch(1)")
        return now.get(action, True) and not (self.mode == SWEEP and action in texts)

    def action_edit(self) -> None:
        if self.ready:
            self.edit()

    def action_walk_mode(self) -> None:
        """To the tokens: from the editor, a comparison, the candidates or the settings."""
        self.walk()
        self.focus_mode()

    def action_walk(self, by: int) -> None:
        self.move(self.tokens.cursor + by)

    def action_line(self, by: int) -> None:
        self.move(self.query_one(TokenView).line_from(self.tokens.cursor, by))

    def action_page(self, by: int) -> None:
        view = self.query_one(TokenView)
        self.move(view.line_from(self.tokens.cursor, by * max(1, view.size.height - 1)))

    def action_line_start(self) -> None:
        """The cursor to the beginning of its line; from there to that of the text."""
        place = self.query_one(TokenView).line_start(self.tokens.cursor)
        self.move(place if place != self.tokens.cursor else 0)

    def action_text_end(self) -> None:
        self.move(len(self.tokens.path))

    @on(TokenView.Walked)
    def _walked(self, event: TokenView.Walked) -> None:
        self.move(event.place)

    def action_alternative(self, by: int) -> None:
        self.query_one(CandidateView).action_pick(by)

    def action_take(self, go_on: bool) -> None:
        """Put the picked candidate at the cursor; then continue from there, or show the next position."""
        position = self.query_one(CandidateView).position
        choice = self.query_one(CandidateView).candidate
        if choice is None or position.seen is None:
            if go_on and self.tokens.cursor >= len(self.tokens.path):
                self.start()
            return
        ids = ids_before(self.tokens, position.place, self.lm)
        if self.lm is None or ids is None:
            self.say("these tokens are of a model that is not loaded: m chooses it, F5 continues with the loaded one")
            return
        self.background.drop()
        self.tokens.take(position.place, position.seen, choice, spelled(self.lm, ids, choice.id))
        if go_on:
            self.complete()
        else:
            self.changed()
            self.look_soon()

    def action_again(self) -> None:
        self.walk()
        if self.lm is None or self.background.kind == "load":
            self.start()
            return
        self.background.drop()
        self.tokens.remember()
        self.tokens.cut_back()
        self.complete()

    def action_branch(self, by: int) -> None:
        self._change(
            lambda: self.tokens.switch(by), "only one branch here; pick another candidate or press F8 to add one"
        )

    def action_undo(self) -> None:
        self._change(self.tokens.undo, "nothing to undo")

    def action_redo(self) -> None:
        self._change(self.tokens.redo, "nothing to redo")

    def _change(self, change: Callable[[], bool], otherwise: str) -> None:
        self.walk()
        self.drop_work()
        if change():
            self.changed()
            self.look_soon()
        else:
            self.say(otherwise)

    @on(SettingsStrip.Changed)
    def _settings_changed(self, event: SettingsStrip.Changed) -> None:
        self.session.sampling = event.sampling
        if self.writing:
            self.background.send(SetSampling(event.sampling))
            self.tokens.drawn = event.sampling
        self.changed()
        self.look_soon()

    # -- chat ----------------------------------------------------------------------------------------------------------

    @on(SettingsStrip.ChatChanged)
    def action_chat(self) -> None:
        """Put the prompt into the model's chat template, or take the message out of it."""
        if not self._can_chat():
            return
        self.walk()
        self.drop_work()
        message = self.message
        if message is None:
            self._converse(self.tokens.prompt)
        else:
            self.session.message = None
            self.tokens.write(message)
            self.changed()
            self.look_soon()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_system(self) -> None:
        if not self._can_chat():
            return
        told = "Stands before the user's message. Empty: the chat template's own, if it has one."
        text = await self.app.push_screen_wait(Entry("System message", told, self.session.system, lambda line: ""))
        if text is not None:
            self.walk()
            self.drop_work()
            self.session.system = text.strip()
            self._converse(self.tokens.prompt if self.message is None else self.message)

    def _can_chat(self) -> bool:
        """Whether the model has a chat template; says so if it has none."""
        if self.lm is None or self.background.kind == "load":
            self.say("the model is not loaded yet", "warning")
        elif self.lm.chat is None:
            self.say(f"{self.lm.name} has no chat template; instruct models have one, smollm2 for example", "warning")
        else:
            return True
        return False

    def _converse(self, message: str) -> None:
        """Apply the template to a message; one that is empty is written first."""
        if message.strip():
            self.converse(Conversation(message, self.session.system))
        else:
            self.session.message = message
            self.edit()

    # -- comparisons -------------------------------------------------------------------------------------------------

    def action_sweep(self) -> None:
        self._compare(lambda prompt: sweeps.ladder(prompt, self.sampling))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_ab(self) -> None:
        if self._comparing():
            return
        other = await self.app.push_screen_wait(
            SettingsDialog("A/B", "A uses the pane's settings; set B here. Both use A's seed.", self.sampling)
        )
        if other is not None:
            self._compare(lambda prompt: sweeps.ab(prompt, self.sampling, other))

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_several(self) -> None:
        if self._comparing():
            return
        count = await self.app.push_screen_wait(
            Entry(
                "Several samples",
                f"Number of samples; seeds count up from {self.sampling.seed}.",
                f"{SAMPLES}",
                _count_problem,
            )
        )
        if count is not None:
            self._compare(lambda prompt: sweeps.samples(prompt, self.sampling, int(count)))

    def _comparing(self) -> bool:
        """Whether a comparison is under way, which is shown then."""
        if self.background.kind == "compare":
            self.show_mode(SWEEP)
            return True
        return False

    def _compare(self, make: Callable[[str], Comparison]) -> None:
        if self._comparing():
            return
        self.walk()
        if self.lm is None or self.background.kind == "load":
            self.say("the model is not loaded yet", "warning")
            return
        comparison = make(self.tokens.prompt or tasks.usual_prompt(self.lm))
        self.query_one(SweepView).begin(Sweep(comparison, self.marks))
        self.show_mode(SWEEP)
        self.ask("compare", partial(tasks.compare, self.lm, comparison, templated=self.conversation is not None))

    @on(SweepView.Taken)
    def _taken(self, event: SweepView.Taken) -> None:
        if self.lm is None:
            return
        self.show_mode(WALK)
        self.tokens.write(self.query_one(SweepView).sweep.comparison.prompt)
        self.tokens.remember()
        self.tokens.grow(event.column.setting.sampling)
        self.ask("replay", partial(tasks.replay, self.lm, source(self.tokens, self.lm), event.column.tokens))
        self.changed()

    # -- models and files --------------------------------------------------------------------------------------------

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_models(self) -> None:
        from tui.generate.model_chooser import ModelChooser, offers

        choices = await asyncio.to_thread(offers, self.session.recent)
        current = self.lm.name if self.lm is not None else ""
        name = await self.app.push_screen_wait(ModelChooser(choices, current))
        if name is not None:
            self.load([(name, "")])

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_text(self) -> None:
        told = "The file becomes the prompt; the current text is kept as a branch."
        path = await ask_path(self.app, "Open a text file", told, blank="enter a file name")
        if path is None:
            return
        try:
            text = await asyncio.to_thread(read_text, path)
        except (OSError, ValueError) as error:
            self.tell("The file could not be opened", f"{path}: {getattr(error, 'strerror', None) or error}")
        else:
            self.take(text)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_save_text(self) -> None:
        self.walk()
        name = f"{time.strftime('%Y%m%d-%H%M%S')}.txt"
        proposed = str(self.session_file.folder / name)
        path = await ask_path(
            self.app, "Save the text", "A plain text file in UTF-8.", proposed, blank="enter a file name"
        )
        if path is None:
            return
        try:
            await asyncio.to_thread(write_text, path, self.tokens.text)
        except OSError as error:
            self.tell("The file could not be saved", f"{path}: {error.strerror or error}")
        else:
            self.say(f"saved to {path}")

    def action_copy(self) -> None:
        self._copy(self.tokens.text)

    @on(Editor.Cut)
    def _cut(self, event: Editor.Cut) -> None:
        self._copy(event.text)

    @work(exclusive=True, group="copy", exit_on_error=False, description="copy")
    async def _copy(self, text: str) -> None:
        told, whole = await copy(self.app, text, self.session_file.folder / "copied.txt")
        self.say(told, "info" if whole else "warning")


def _count_problem(text: str) -> str:
    if text.isdigit() and text.isascii() and 1 <= int(text[:9]) <= MOST_SAMPLES:
        return ""
    return f"must be a whole number from 1 to {MOST_SAMPLES}"
