"""The form that a comparison starts from: what its data hold stands beside the fields."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import NoActiveWorker, get_current_worker

from data import sources
from data.hub import possible
from engine.runs.events import Event
from engine.runs.messages import Stopped
from engine.runs.spec import Problem
from engine.runs.tasks import BUNDLED
from tui import units
from tui.follow import hints
from tui.follow.form import Form
from tui.hints import Hint
from tui.text import safe

REST = 0.4  # seconds that typing rests before the data are looked at
LARGE, HEAD = 16 << 20, 1000  # bytes from which only the first rows are read while the form is filled in


@dataclass(frozen=True)
class Seen:
    """What a look at the data found. Empty before the first look."""

    source: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    """what there is, and how many"""
    checks: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    note: str = ""
    problem: str = ""
    """why nothing can be run with them; empty when something can"""

    def facts(self) -> Content:
        """Source, sizes, what the checks found, and something to look at."""
        lines: list[Content] = []
        if self.source:
            lines.append(Content.styled(safe(self.source, lines=False), "bold $bright"))
        if self.sizes:
            lines.append(Content("   ".join(f"{count:,} {name}" for name, count in self.sizes)))
        for mark, style, entries in (("· ", "", self.checks), ("! ", "$warning", self.repairs)):
            lines += [Content.styled(mark + safe(entry, lines=False), style) for entry in entries]
        lines += self.samples()
        if self.note:
            lines.append(Content.styled(safe(self.note), "$foreground 60%"))
        return Content("\n").join(lines)

    def samples(self) -> list[Content]:
        """Some of the data, a line each."""
        return []


def kind_of(name: str, *, folder: bool = False) -> str:
    """Where data of this name would come from: ``bundled``, ``path``, ``hub`` or ``nothing``. Makes no request.

    With ``folder`` a name on the Hub has an owner.
    """
    if name in BUNDLED:
        return "bundled"
    if sources.existing(name) is not None:
        return "path"
    return "hub" if possible(name) and ("/" in name or not folder) else "nothing"


def size(name: str) -> int:
    """Bytes of a file, or of the first files in a folder and in the folders of it; 0 where there is none."""
    path = sources.existing(name)
    if path is None:
        return 0
    files = islice(chain((path,), path.glob("*"), path.glob("*/*")), 1000)
    try:
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:  # told by what reads them
        return 0


def rows_to_read(name: str) -> tuple[int, str]:
    """How many rows of each file are read to look at the data of a path, 0 for all; and what is said of that."""
    if size(name) <= LARGE:
        return 0, ""
    return HEAD, f"{name} is large: only the first {HEAD:,} rows of each file are checked here"


def _obey() -> Iterator[Event]:
    """Raise :class:`Stopped` in a worker that was cancelled, as by another look or the end of the program."""
    with contextlib.suppress(NoActiveWorker):
        if get_current_worker().is_cancelled:
            raise Stopped
    return iter(())


class CompareForm(Form):
    """Looks at the data off the event loop whenever a field has changed that they depend on."""

    GO = "Run comparison"
    BUILT_IN = BUNDLED
    NOTHING: ClassVar[Seen]
    """before the first look"""
    LOOKED_AT: ClassVar[tuple[str, ...]]
    """fields that a look depends on"""
    FOLDER: ClassVar[bool] = False
    """whether a path must be a folder"""
    EXPLAINED: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.seen = self.NOTHING
        self._rest: Timer | None = None
        self._asked = ""
        """data set whose first rows were asked for"""

    def facts(self) -> ComposeResult:
        yield Static(classes="seen")

    def facts_hints(self) -> Sequence[Hint]:
        return hints.beside_form(self.seen.facts().plain, self.seen.source, (*self.seen.checks, *self.seen.repairs))

    def on_mount(self) -> None:
        self._look_soon(0.05)

    @staticmethod
    def see(values: Mapping[str, str], fetched: Any) -> Any:
        """What the data of these values hold: files, or what was ``fetched`` of a data set on the Hub."""
        raise NotImplementedError

    @classmethod
    def read(cls, values: Mapping[str, str], *, ask: bool = False) -> Any:
        """Look at the data of these values.

        Those of the Hub are taken from the cache or, with ``ask``, their first rows are requested. Reads files: called
        off the event loop. Never raises.
        """
        from data.formats import TableError
        from engine import hub_data

        name, nothing = values["data"].strip(), cls.NOTHING
        kind = kind_of(name, folder=cls.FOLDER)
        if kind == "nothing":
            return nothing
        if kind != "hub":
            return cls.see(values, None)
        first = hub_data.first_of_collection if cls.FOLDER else hub_data.first_rows
        try:
            with first(name, cls.DEFAULT.data, _obey, ask=ask) as fetched:
                if fetched is None:
                    return replace(nothing, note=f"{name} is looked up on the Hub when you press Enter here or F5.")
                seen = cls.see(values, fetched)
        except Stopped:
            return nothing
        except TableError as error:  # it may be there the next time
            return replace(nothing, note=f"{error}\nEnter tries again; F5 tries again and starts if it is found.")
        download = sum(part.bytes for part in (fetched.values() if isinstance(fetched, Mapping) else [fetched]))
        note = f"Only the first rows are shown: F5 downloads {units.size(download)}."
        return replace(seen, note=note) if download and not seen.problem else seen

    def entered(self, name: str) -> None:
        """Enter in the name of a data set on the Hub looks at it first."""
        values = self.values()
        kind = kind_of(values["data"].strip(), folder=self.FOLDER)
        if name == "data" and kind == "hub" and not self.seen.source:
            self.know(values, replace(self.NOTHING, note="looking it up on the Hub…"))
            self._asked = values["data"]
            self.look(values)
        else:
            self.start_or_tell()

    def wrong(self, values: Mapping[str, str]) -> list[Problem]:
        name, problem = values["data"].strip(), self.seen.problem
        if name and kind_of(name, folder=self.FOLDER) == "nothing":
            problem = "no such file or folder, and it is not a valid Hub name"
        return [Problem("data", problem)] if problem else []

    def explained(self) -> str:
        return self.EXPLAINED

    def edited(self, name: str) -> None:
        if name == "data":
            self.seen = self.NOTHING
        if name in ("", *self.LOOKED_AT):
            self._look_soon(REST if name else 0.05)

    def _look_soon(self, seconds: float) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(seconds, lambda: self.look(self.values()))

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def look(self, values: dict[str, str]) -> None:
        """Read the data off the event loop."""
        worker = get_current_worker()
        seen = self.read(values, ask=values["data"] == self._asked)
        if not worker.is_cancelled:
            self.app.call_from_thread(self.know, values, seen)

    def know(self, values: Mapping[str, str], seen: Seen) -> None:
        """Take in what a look at the data of these values found."""
        if self.is_attached and values["data"] == self.text("data"):
            self.seen = seen
            self.refresh_all()

    def refreshed(self, spec: Any) -> None:
        self.query_one(".seen", Static).update(self.seen.facts())
