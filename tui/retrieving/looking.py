"""A look at a collection before anything runs: its sizes, its first document and query, and what the checks find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.content import Content

from tui import units
from tui.comparing.seen import Seen
from tui.retrieving import values
from tui.text import safe

LARGE = 256 * 1024 * 1024  # bytes from which a corpus is not read just to look at it


@dataclass(frozen=True)
class SeenCollection(Seen):
    """A collection, with its first texts."""

    first: tuple[tuple[str, str], ...] = ()
    """what it is, and its text"""

    def samples(self) -> list[Content]:
        lines = []
        for name, text in self.first:
            shown = safe(" ".join(text.split()), lines=False)[:240]
            lines.append(Content.assemble(Content.styled(f"\n{name}  ", "$foreground 60%"), shown))
        return lines


def look(given: Mapping[str, str]) -> SeenCollection:
    """What a collection holds. Reads files: not for the screen's thread. The Hub is only asked by a run."""
    from data import beir

    name = given["data"].strip()
    kind = values.kind_of(name)
    if kind == "nothing":
        return SeenCollection()
    if kind == "hub":
        return SeenCollection(note=f"{name} is fetched from the Hub, or taken from the cache, when you press F5.")
    corpus = Path(name).expanduser() / "corpus.jsonl"
    try:
        if corpus.is_file() and (size := corpus.stat().st_size) > LARGE:
            return SeenCollection(source=str(corpus), note=f"{units.size(size)}: read when you press F5")
        found = beir.load(name)
    except beir.BeirError as error:
        return SeenCollection(problem=str(error))
    except OSError as error:
        return SeenCollection(problem=f"it cannot be read ({error.strerror or error})")
    sizes = [("documents", len(found)), *((f"{split} queries", len(part)) for split, part in found.qrels.items())]
    samples = [("first document", f"{found.titles[0]}  {found.texts[0]}")]
    if split := found.judged:
        query = next(iter(found.qrels[split]))
        samples.append((f"a {split} query", found.queries[query]))
    return SeenCollection(found.source, tuple(sizes), found.checks, found.repairs, first=tuple(samples))
