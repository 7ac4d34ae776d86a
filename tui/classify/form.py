"""What a classification is asked for: the form, what is wrong with its values, and a look at the data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from data import tablefiles
from data.tables import BUNDLED
from engine.classify.spec import ClassifySpec
from engine.encoders.features import POOLING_HELP
from engine.runs.spec import Problem
from tui import units
from tui.comparing.form import CompareForm, Layout
from tui.comparing.ticks import Picker
from tui.comparing.values import LARGEST, Seen, data_problems, fields_from, kind_of
from tui.text import safe

LARGE = 64 * 1024 * 1024  # bytes from which a file is not read whole just to look at it
ROWS = 6  # that are shown
COLUMNS = ("text_column", "label_column")
HEADS = {"lr": ("logistic regression", "LR"), "mlp": ("MLP", "MLP"), "finetune": ("fine-tune", "fine-tune")}
FIELDS = fields_from(
    ClassifySpec,
    "classify.json",
    "data test text_column label_column encoder pooling heads class_weights limit seed",
    {"limit": (0, LARGEST), "seed": (0, LARGEST)},
    ("data", "test", "encoder"),
    text_column="auto",
    label_column="auto",
)


def problems(values: Mapping[str, str]) -> list[Problem]:
    """Everything that can be told to be wrong without reading the data."""
    data = values["data"].strip()
    found = data_problems(data, kind_of(data, BUNDLED), f"{BUNDLED}, a file, a folder")
    if (test := values["test"].strip()) and not tablefiles.existing(test):
        found.append(Problem("test", "no such file"))
    found += FIELDS.problems(values)
    if values["text_column"] == values["label_column"] != "auto":
        found.append(Problem("label_column", "text and label cannot be the same column"))
    return found


@dataclass(frozen=True)
class SeenTable(Seen):
    """A data set, with its columns."""

    columns: tuple[str, ...] = ()
    text_column: str = ""
    label_column: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    """label and text of the first rows"""

    def first_rows(self) -> Content:
        """The beginning of the table, a row a line."""
        if not self.rows:
            return Content("")
        chosen = safe(f"{self.label_column or '?'} │ {self.text_column or '?'}", lines=False)
        lines = [Content(""), Content.styled(f"first rows: {chosen}", "bold $primary")]
        widest = min(14, max(len(safe(label, lines=False)) for label, _ in self.rows))
        for label, text in self.rows:
            shown = safe(label, lines=False)[:widest]
            lines.append(
                Content.assemble(
                    Content.styled(f"{shown:<{widest}}  ", "$foreground 60%"), safe(text, lines=False)[:160]
                )
            )
        return Content("\n").join(lines)


def look(given: Mapping[str, str]) -> SeenTable:
    """What the data set of these values holds. Reads files, not the Hub: not for the screen's thread."""
    name = given["data"].strip()
    if kind_of(name, BUNDLED) == "hub":
        return SeenTable(note=f"{name} is looked up on the Hub when you press Enter here, or F5.")
    return ask_hub(given)


def ask_hub(given: Mapping[str, str]) -> SeenTable:
    """What the data set of these values holds, from the Hub too."""
    from data.tables import TableError, load, preview
    from engine.hub import unreachable

    name = given["data"].strip()
    kind = kind_of(name, BUNDLED)
    if kind == "nothing":
        return SeenTable()
    try:
        first = preview(name, count=40, unreachable=unreachable)
    except TableError as error:
        if kind == "hub":  # it may be there the next time
            return SeenTable(note=f"{error}\nEnter asks again; F5 asks too, and starts if it is there then.")
        return SeenTable(problem=str(error))
    text = given["text_column"] if given["text_column"] != "auto" else first.text_column or ""
    label = given["label_column"] if given["label_column"] != "auto" else first.label_column or ""
    rows = _rows(first.columns, first.rows, text, label)
    seen = SeenTable(first.source, columns=first.columns, text_column=text, label_column=label, rows=rows)
    if missing := [one for one in (text, label) if one and one not in first.columns]:
        return replace(seen, problem=f"there is no column {', '.join(map(repr, missing))}")
    if not text or not label:
        which = " and ".join(what for what, found in (("text", text), ("label", label)) if not found)
        return replace(seen, problem=f"choose the column with the {which}: their names do not tell")
    if kind == "path" and (size := _size(name)) > LARGE:
        return replace(seen, note=f"{units.size(size)}: the checks run when it is started")
    limit = given["limit"].strip()
    seed = given["seed"].strip()
    try:
        data = load(
            name,
            test=given["test"].strip(),
            text_column=text,
            label_column=label,
            limit=int(limit) if limit.isdigit() else 0,
            seed=int(seed) if seed.isdigit() else 1337,
            unreachable=unreachable,
        )
    except TableError as error:
        return replace(seen, problem=str(error))
    sizes = (("train", len(data.train)), ("validation", len(data.validation)), ("test", len(data.test)))
    return replace(seen, sizes=sizes, checks=data.checks.lines(), repairs=data.repairs)


def _rows(
    columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], text: str, label: str
) -> tuple[tuple[str, str], ...]:
    """Label and text of the first rows; the whole row while the column of the text is not known."""
    if text not in columns:
        return tuple(("", " │ ".join(row)) for row in rows[:ROWS])
    at, of = columns.index(text), columns.index(label) if label in columns else -1
    return tuple((row[of] if of >= 0 else "?", row[at]) for row in rows[:ROWS])


def _size(name: str) -> int:
    path = Path(os.path.expanduser(name))
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0


class ClassifyForm(CompareForm):
    """With a picker of columns, and the first rows beside it."""

    PREFIX = "cl-"
    LAYOUT = Layout(
        go="Run the routes",
        sections=(
            ("data set", ("data", "test", "text_column", "label_column", "limit")),
            ("features", ("encoder", "pooling")),
            ("routes", ("heads", "class_weights", "seed")),
        ),
        labels={"test": "test file", "limit": "rows at most", "heads": "train"},
        hints={
            "data": "helpdesk, a file, a folder, or owner/name on the Hub",
            "test": "only if it lies in a file of its own",
            "limit": "of each split; 0 for all",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "seed": "decides splits, batches and dropout",
        },
        explained=(
            "The encoder stays as it is for logistic regression and MLP: their features are computed once and kept. "
            "Fine-tuning trains all of it: best, and slowest by far without a GPU. The majority class and TF-IDF with "
            "logistic regression always run beside them.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=FIELDS,
        problems=problems,
        nothing=SeenTable(),
        look=look,
        looked_at=("data", "test", *COLUMNS, "limit", "seed"),
        names=HEADS,
        meanings={"pooling": POOLING_HELP},
    )
    DEFAULT_CSS = "ClassifyForm .fields { min-width: 42; }"
    seen: SeenTable

    def widget(self, name: str, ident: str) -> Widget:
        if name in COLUMNS:
            return Picker(("auto",), FIELDS.defaults[name], id=ident)
        return super().widget(name, ident)

    def more_facts(self) -> ComposeResult:
        yield Static(classes="rows")

    def put(self, name: str, value: str) -> None:
        if name in COLUMNS:
            self.field(name).offer(tuple(dict.fromkeys([*self.seen.columns, *([value] if value != "auto" else [])])))
        super().put(name, value)

    def entered(self, name: str) -> None:
        """Enter in the name of a data set on the Hub looks it up first."""
        given = self.given()
        if name == "data" and kind_of(given["data"].strip(), BUNDLED) == "hub" and not self.seen.columns:
            self.know(given, SeenTable(note="asking the Hub…"))
            self.look(given, ask_hub)
        else:
            self.start_or_tell()

    def saw(self) -> None:
        if self.seen.columns:
            for name in COLUMNS:
                self.field(name).offer(self.seen.columns)
        self.query_one(".rows", Static).update(self.seen.first_rows())
