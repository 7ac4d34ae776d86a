"""A look at a data set before anything runs: its first rows, its columns, and what the checks find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from tui import units
from tui.classify import values
from tui.comparing.seen import Seen
from tui.text import safe

LARGE = 64 * 1024 * 1024  # bytes from which a file is not read whole just to look at it
ROWS = 6  # that are shown


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
    if values.kind_of(name) == "hub":
        return SeenTable(note=f"{name} is looked up on the Hub when you press Enter here, or F5.")
    return ask_hub(given)


def ask_hub(given: Mapping[str, str]) -> SeenTable:
    """What the data set of these values holds, from the Hub too."""
    from data.tables import TableError, load, preview
    from engine.hub import unreachable

    name = given["data"].strip()
    kind = values.kind_of(name)
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
        return _with(seen, problem=f"there is no column {', '.join(map(repr, missing))}")
    if not text or not label:
        which = " and ".join(what for what, found in (("text", text), ("label", label)) if not found)
        return _with(seen, problem=f"choose the column with the {which}: their names do not tell")
    if kind == "path" and (size := _size(name)) > LARGE:
        return _with(seen, note=f"{units.size(size)}: the checks run when it is started")
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
        return _with(seen, problem=str(error))
    sizes = (("train", len(data.train)), ("validation", len(data.validation)), ("test", len(data.test)))
    return _with(seen, sizes=sizes, checks=data.checks.lines(), repairs=data.repairs)


def _with(seen: SeenTable, **changes: object) -> SeenTable:
    from dataclasses import replace

    return replace(seen, **changes)  # type: ignore[arg-type]


def _rows(
    columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...], text: str, label: str
) -> tuple[tuple[str, str], ...]:
    """First rows, one of each label before the second of any, so that the preview shows what there is."""
    if text not in columns:
        return tuple(("", " │ ".join(row)) for row in rows[:ROWS])
    at, of = columns.index(text), columns.index(label) if label in columns else -1
    pairs = [(row[of] if of >= 0 else "?", row[at]) for row in rows]
    return tuple(pairs[:ROWS])


def _size(name: str) -> int:
    path = Path(name).expanduser()
    try:
        files = list(path.iterdir()) if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0
