"""What a look at the data of a form found, and how the form shows it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from tui.text import safe


@dataclass(frozen=True)
class Seen:
    """Empty before the first look."""

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
            lines.append(Content.styled(safe(self.source, lines=False), "bold $primary"))
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
