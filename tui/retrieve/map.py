"""The map of the documents: by relevance to the query and by rank, with the query among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.strip import Strip

from engine.retrieve.spec import MEAN
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, Stopped
from engine.runs.worker import Task
from tui.follow.scatter import Mapped, scatter
from tui.retrieve.columns import Title, highlighted
from tui.retrieve.searching import Answer
from tui.retrieve.views import ViewState
from tui.text import safe
from tui.widgets.styled import MUTED, SERIES, message, wrap

if TYPE_CHECKING:
    from engine.retrieve.search import Library

FIRST = 10  # ranks that are marked
GROUPS = (
    ("other documents", "·", MUTED),
    (f"ranked 1–{FIRST} by frozen mean", "◆", SERIES[0]),
    ("relevant", "●", SERIES[1]),
    ("query", "✚", SERIES[2]),
)
EMPTY = """No stored features of this run.

The map shows the documents by the frozen encoder's features with mean pooling;
it appears when the method frozen mean has finished."""


def mapping(library: Library, query: str) -> Task:
    """The documents by their stored vectors, and after them the query, if there is one."""

    def task(control: Control) -> Iterator[Event]:
        from engine.encoders.encode import EncodeFailed
        from engine.encoders.find import NoEncoder
        from engine.encoders.plane import plane

        try:
            vectors = yield from library.frozen(MEAN, control)
            found = plane(vectors)
            points = found.points(vectors).tolist()
            if query:
                embedder = yield from library.embedder(control)
                points += found.points(embedder([query])).tolist()
        except Stopped:
            return
        except (NoEncoder, EncodeFailed, OSError) as error:
            yield Notice(f"the map could not be computed: {error}", "warning", "read")
            return
        yield Mapped([(x, y) for x, y in points], found.share)

    return task


def group(row: int, documents: int, answer: Answer | None) -> int:
    """The place of a row among ``GROUPS``: rows from ``documents`` on are the query."""
    if row >= documents:
        return 3
    ranked = answer.found.get(MEAN) if answer is not None else None
    if answer is not None and row in answer.relevant:
        return 2
    return 1 if ranked is not None and row in ranked.rows[:FIRST] else 0


def draw(
    found: Mapped | None, documents: int, answer: Answer | None, title: Title, state: ViewState, width: int, height: int
) -> list[Strip]:
    """The map, or why there is none."""
    if found is None or not found.points:
        return message(EMPTY, width, height)

    def about(row: int, width: int) -> tuple[str, Sequence[Text]]:
        if row >= documents:
            return "query", wrap(Text(safe(answer.query, lines=False) if answer is not None else ""), width)
        name, content = title(row)
        terms = answer.terms if answer is not None else ()
        body = wrap(highlighted(Text(safe(content[:2000], lines=False)), terms), width)
        return safe(name, lines=False) or "(no title)", body

    return scatter(found, GROUPS, lambda row: group(row, documents, answer), about, state, width, height)
