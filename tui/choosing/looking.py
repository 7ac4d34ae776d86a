"""A look at the questions before anything is ranked: how many, what was left out, the first one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from data.choices import BUNDLED, LETTERS, Item, TableError, load
from tui.text import safe

LARGEST = 64 << 20  # bytes of a file that is looked at while the form is filled in


@dataclass(frozen=True)
class Seen:
    """What a look found; empty before the first."""

    source: str = ""
    lines: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    first: Item | None = None
    note: str = ""
    problem: str = ""

    def facts(self) -> Content:
        """As the form shows it."""
        if self.note:
            return Content.styled(safe(self.note), "$foreground 60%")
        if self.first is None:
            return Content("")
        parts = [Content.styled(f"{safe(self.source, lines=False)}\n", "bold")]
        parts += [Content(f"· {safe(line, lines=False)}\n") for line in self.lines]
        parts += [Content.styled(f"! {safe(line, lines=False)}\n", "$warning") for line in self.repairs]
        parts.append(Content.styled(f"\n{safe(self.first.stem[:300], lines=False)}\n", "bold"))
        for place, choice in enumerate(self.first.choices):
            mark = "✓" if place == self.first.gold else " "
            parts.append(Content(f" {mark} {LETTERS[place]} {safe(choice[:100], lines=False)}\n"))
        return Content.assemble(*parts)


def look(given: Mapping[str, str]) -> Seen:
    """Read what lies on the disk. Never raises."""
    from pathlib import Path

    name = given["data"].strip()
    try:
        path = Path(name).expanduser()
        there = name == BUNDLED or (bool(name) and path.exists())
        if there and path.is_file() and path.stat().st_size > LARGEST:
            return Seen(note=f"{path.name} is large: it is read when the methods run")
    except (OSError, RuntimeError, ValueError):
        there = False
    if not there:
        return Seen(note="it is looked for on the Hub when the methods run" if name else "")
    limit, seed = (int(given[field]) if given[field].strip().isdecimal() else 0 for field in ("limit", "seed"))
    try:
        data = load(name, limit=limit, seed=seed)
    except TableError as error:
        return Seen(problem=str(error))
    return Seen(data.source, data.checks, data.repairs, data.judged[0])
