"""The Classify pane: what keys do to the routes that are compared, and what the keys everywhere mean here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from textual import on, work
from textual.widgets import Input

from checkpoints import home
from engine import control as ask
from tui.actions import bindings
from tui.classify import laboratory
from tui.dialogs import Entry
from tui.panes.classification import REST, Board, ClassificationPane
from tui.text import safe


class ClassifyPane(ClassificationPane):
    """Every key of the pane."""

    WORKS = True
    ABOUT = (
        (
            "What is compared",
            "The majority class and TF-IDF with logistic regression are what every route has to beat. Logistic "
            "regression and MLP learn on features of an encoder that stays as it is; fine-tuning trains all of it. "
            "The interval holds 95% of the accuracies that resampled test rows give; McNemar's test says whether two "
            "routes differ by more than chance: it looks only at rows that one of them has right and the other wrong. "
            "Calibration error is how far confidence and accuracy lie apart.\n",
        ),
        (
            "Reading the mistakes",
            "In the matrix, arrows choose a cell, Enter walks over its texts, Esc goes back. Suspects are training "
            "rows whose label a model doubts that has not seen them. Labels shows how many labels of each class it "
            "takes.\n",
        ),
        (
            "Nothing is lost",
            "It runs in a process of its own: close the terminal and it goes on. Features are kept in shards, "
            "fine-tuning epoch by epoch, so that what was stopped goes on where it was. Results, heads and the "
            "fine-tuned model lie in a run directory; o opens an older one, also for judging sentences.",
        ),
    )
    BINDINGS = bindings("classify")

    # -- keys everywhere ---------------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """The results as they are now, or the form."""
        if self.showing_results:
            self.focus_view()
        else:
            self.query_one("#cl-go").focus()
        self.call_after_refresh(self.redraw)

    @property
    def trains(self) -> str:
        return self.run_shown.name if self.running and self.run_shown is not None else ""

    async def see_out(self) -> None:
        if self.running and self.job is not None:
            self.job.stop()
            await asyncio.to_thread(self.job.wait, 15.0)

    def start(self) -> None:
        """Run what the form says."""
        if self.running or self.starting:
            self.show_results()
            self.say("it is running: F7 stops it, then F5 starts another", "warning")
        elif not self.form.start():
            self.show_form()
            self.form.show_problem()

    def pause(self) -> None:
        """Pause, or go on."""
        self._send(ask.Continue() if self.story.paused else ask.Pause())

    def stop(self) -> None:
        """End the classification, keeping what it made."""
        if self.running and self.job is not None:
            self.job.stop()
            self.redraw()

    def allows(self, action: str) -> bool | None:
        """What is asked of a classification needs one that runs."""
        if action == "sample":
            return False
        return True if action == "start" or self.running else None

    @on(Input.Changed, "#cl-sentence")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self.rest is not None:
            self.rest.stop()
        self.rest = self.set_timer(REST, self.judge)

    @on(Input.Submitted, "#cl-sentence")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.judge()

    # -- keys --------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Hide what makes no sense now."""
        if action in ("route", "walk", "read", "page", "export"):
            return self.showing_results
        return not self.showing_results if action == "defaults" else True

    def action_form(self) -> None:
        """Between the form and the results."""
        if self.showing_results:
            self.show_form()
        elif self.run_shown is not None:
            self.show_results()
            self.app.refresh_bindings()

    def action_defaults(self) -> None:
        """The form as it comes."""
        from tui.classify.values import DEFAULTS

        self.form.fill(dict(DEFAULTS))

    def action_view(self, name: str) -> None:
        """The results from another side."""
        self.sight.look(name)
        if self.run_shown is None:
            self.say("no classification yet: F5 runs the routes, o opens one that was trained before")
            self.sight.look("overview")
            return
        self.show_results()
        if name == "sentence":
            self.judge()
        self.app.refresh_bindings()

    def action_route(self, by: int) -> None:
        """The views show another route."""
        names = [route.name for route in self.story.done]
        if names:
            here = names.index(self.route) if self.route in names else 0
            self.sight.route = names[(here + by) % len(names)]
            self.sight.row = 0
            if self.sight.view == "sentence":
                self.judge()
            self.redraw()

    def action_walk(self, down: int, right: int) -> None:
        """The cursor of the view."""
        sight = self.sight
        if sight.view == "overview":
            names = list(self.story.routes)
            if names and down:
                here = names.index(self.route) if self.route in names else 0
                sight.route = names[max(0, min(len(names) - 1, here + down))]
        elif sight.view == "matrix" and not sight.reading:
            report = self.story.routes[self.route].report if self.route in self.story.routes else None
            sight.move_cell(down, right, len(report.classes) if report else 0)
        elif right and sight.view in ("calibration", "classes", "matrix"):
            self.action_route(right)
        else:
            sight.row = max(0, sight.row + down)
        self.redraw()

    def action_page(self, by: int) -> None:
        """A page of rows."""
        if self.sight.view != "matrix" or self.sight.reading:
            self.sight.row = max(0, self.sight.row + by * 10)
        self.redraw()

    def action_read(self) -> None:
        """Into the texts of the cell."""
        if self.sight.view == "matrix":
            self.sight.reading = not self.sight.reading
            self.redraw()

    def action_back(self) -> None:
        """Out of the texts, or out of the line that is typed into, so that letters are keys again."""
        if not self.showing_results:
            self.query_one("#cl-go").focus()
        elif self.sight.view == "sentence" and self.query_one("#cl-sentence").has_focus:
            self.query_one(Board).focus()
        elif self.sight.reading:
            self.sight.reading = False
        else:
            self.sight.look("overview")
            self.focus_view()
        self.redraw()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_open_classifier(self) -> None:
        """A classifier that was trained before."""
        from tui.classify.opener import Opener

        run = await self.app.push_screen_wait(Opener(await asyncio.to_thread(laboratory.offers)))
        if run is not None:
            self.open(run)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_export(self) -> None:
        """The fine-tuned model as a folder for transformers."""
        run = self.run_shown
        if run is None:
            return
        target = await self.app.push_screen_wait(
            Entry(
                "Export the fine-tuned model",
                "As a folder that AutoModelForSequenceClassification and AutoTokenizer load.",
                str(home.home() / "exports" / run.name),
                lambda text: "" if text.strip() else "name a folder",
            )
        )
        if target is None:
            return
        try:
            said = await asyncio.to_thread(laboratory.export, run, Path(target).expanduser())
        except OSError as error:
            self.tell("It cannot be exported", str(error))
        else:
            self.notify(safe(said), markup=False, timeout=8)

    def _send(self, message: ask.Message) -> None:
        if self.running and self.job is not None:
            self.job.control.send(message)
