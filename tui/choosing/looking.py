"""A look at the questions before anything is ranked: how many, what was left out, the first one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from data.choices import BUNDLED, LETTERS, Item, TableError, load
from tui.comparing.seen import Seen
from tui.text import safe

LARGEST = 64 << 20  # bytes of a file that is looked at while the form is filled in


@dataclass(frozen=True)
class SeenItems(Seen):
    """Questions, with the first of them."""

    first: Item | None = None

    def samples(self) -> list[Content]:
        if self.first is None:
            return []
        lines = [Content.styled(f"\n{safe(self.first.stem[:300], lines=False)}", "bold")]
        for place, choice in enumerate(self.first.choices):
            mark = "✓" if place == self.first.gold else " "
            lines.append(Content(f" {mark} {LETTERS[place]} {safe(choice[:100], lines=False)}"))
        return lines


def look(given: Mapping[str, str]) -> SeenItems:
    """Read what lies on the disk. Never raises."""
    from pathlib import Path

    name = given["data"].strip()
    try:
        path = Path(name).expanduser()
        there = name == BUNDLED or (bool(name) and path.exists())
        if there and path.is_file() and path.stat().st_size > LARGEST:
            return SeenItems(note=f"{path.name} is large: it is read when the methods run")
    except (OSError, RuntimeError, ValueError):
        there = False
    if not there:
        return SeenItems(note="it is looked for on the Hub when the methods run" if name else "")
    limit, seed = (int(given[field]) if given[field].strip().isdecimal() else 0 for field in ("limit", "seed"))
    try:
        data = load(name, limit=limit, seed=seed)
    except TableError as error:
        return SeenItems(problem=str(error))
    return SeenItems(data.source, checks=data.checks, repairs=data.repairs, first=data.judged[0])
