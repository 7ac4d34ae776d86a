"""The form of a classification, and a look at the data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from data import sources
from data.hub import Fetched
from engine.classify.spec import ClassifySpec
from engine.runs.spec import Problem, typed
from tui import units
from tui.follow.comparison_form import CompareForm, Seen, size
from tui.text import safe
from tui.widgets.field import Choice

LARGE = 64 * 1024 * 1024  # bytes from which a file is not read whole just to look at it
ROWS = 6  # that are shown
COLUMNS = ("text_column", "label_column")


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
        lines = [Content(""), Content.styled(f"first rows: {chosen}", "bold $bright")]
        widest = min(14, max(len(safe(label, lines=False)) for label, _ in self.rows))
        for label, text in self.rows:
            shown = safe(label, lines=False)[:widest]
            lines.append(
                Content.assemble(
                    Content.styled(f"{shown:<{widest}}  ", "$foreground 60%"), safe(text, lines=False)[:160]
                )
            )
        return Content("\n").join(lines)


def _seen(values: Mapping[str, str], fetched: Fetched | None) -> SeenTable:
    """What the data set of these values holds; of the Hub's if its files are given."""
    from data.formats import TableError
    from data.tables import load, preview

    given = typed(ClassifySpec, values)
    name, (text, label, encoding) = given["data"], (given[field] for field in (*COLUMNS, "encoding"))
    limit, seed = (int(given[field]) if given[field].isdecimal() else 0 for field in ("limit", "seed"))
    try:
        first = preview(name, text_column=text, label_column=label, encoding=encoding, count=40, fetched=fetched)
    except TableError as error:
        return SeenTable(problem=str(error))
    text, label = text or first.column("text"), label or first.column("label")
    rows = _rows(first.columns, first.rows, text, label)
    source = f"{first.source} · {first.encoding}" if first.encoding else first.source
    seen = SeenTable(
        source, columns=first.columns, text_column=text, label_column=label, rows=rows, repairs=first.repairs
    )
    if missing := [one for one in (text, label) if one and one not in first.columns]:
        return replace(seen, problem=f"there is no column {', '.join(map(repr, missing))}")
    if not text or not label:
        which = " and ".join(what for what, found in (("text", text), ("label", label)) if not found)
        return replace(seen, problem=f"choose the column with the {which}: it cannot be inferred from the names")
    if fetched is not None and fetched.bytes:
        return seen
    if fetched is None and (bytes_of_it := size(name)) > LARGE:
        return replace(seen, note=f"{units.size(bytes_of_it)}: checked when the run starts")
    try:
        data = load(
            name,
            test=given["test"],
            text_column=text,
            label_column=label,
            label_names=ClassifySpec(label_names=given["label_names"]).names_of_labels,
            encoding=encoding,
            limit=limit,
            seed=seed,
            fetched=fetched,
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


class ClassifyForm(CompareForm):
    """With a choice of columns, and the first rows beside it."""

    DEFAULT = ClassifySpec(curve=True, suspects=True)
    PREFIX = "cl-"
    FILE = "classify.json"
    NOTHING = SeenTable()
    LOOKED_AT = ("data", "test", *COLUMNS, "label_names", "encoding", "limit", "seed")
    EXPLAINED = (
        "Logistic regression and MLP are trained on features of the frozen encoder, which are computed once and "
        "cached. Fine-tuning trains the whole encoder: usually best, and by far the slowest without a GPU. The "
        "majority class and TF-IDF with logistic regression are always included as baselines."
    )
    seen: SeenTable

    see = staticmethod(_seen)

    def widget(self, name: str, ident: str) -> Widget:
        if name in COLUMNS:
            return Choice(("auto", *self._columns(self._put[name])), self._put[name], id=ident)
        return super().widget(name, ident)

    def _columns(self, chosen: str) -> list[str]:
        return list(dict.fromkeys([*self.seen.columns, *([chosen] if chosen != "auto" else [])]))

    def facts(self) -> ComposeResult:
        yield from super().facts()
        yield Static(classes="rows")

    def wrong(self, values: Mapping[str, str]) -> list[Problem]:
        found = super().wrong(values)
        if (test := values["test"].strip()) and not sources.existing(test):
            found.append(Problem("test", "no such file"))
        return found

    def put(self, texts: Mapping[str, str]) -> None:
        for name in texts.keys() & self._widgets.keys() & set(COLUMNS):
            self._widgets[name].able = ("auto", *self._columns(texts[name]))
        super().put(texts)

    def know(self, values: Mapping[str, str], seen: Seen) -> None:
        super().know(values, seen)
        if self.seen.columns:
            for name in COLUMNS:
                self._widgets[name].offer(("auto", *self.seen.columns))

    def refreshed(self, spec: ClassifySpec | None) -> None:
        super().refreshed(spec)
        self.query_one(".rows", Static).update(self.seen.first_rows())
