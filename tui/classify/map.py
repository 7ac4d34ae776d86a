"""The map of the test texts: by class, with what the chosen method says of the one under the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text
from textual.strip import Strip

from checkpoints.run import Run
from engine.runs.events import Event, Notice
from engine.runs.messages import Control, Stopped
from engine.runs.worker import Task
from tui.classify.pages import full_text
from tui.classify.runs import Findings
from tui.classify.views import ViewState
from tui.follow.scatter import Mapped, groups_of, scatter
from tui.text import safe
from tui.widgets.styled import message

EMPTY = """No stored features of this run.

The map shows the test texts by the encoder's features. They are computed for logistic regression,
MLP and fine-tuning, and removed when the cache is full; n starts another run, which computes them."""


def mapping(run: Run, texts: Sequence[str]) -> Task:
    """Read the stored features of a run's test texts and project them; without any no points are told."""

    def task(control: Control) -> Iterator[Event]:
        from engine.classify.stored import stored
        from engine.encoders.find import NoEncoder
        from engine.encoders.plane import plane

        try:
            features = yield from stored(run, texts, control)
        except Stopped:
            return
        except (NoEncoder, OSError, ValueError) as error:
            yield Notice(f"the stored features cannot be read: {error}", "warning", "read")
            features = None
        if features is None:
            yield Mapped((), 0.0)
        else:
            found = plane(features)
            yield Mapped([(x, y) for x, y in found.points(features).tolist()], found.share)

    return task


def draw(
    found: Mapped | None, findings: Findings | None, method: str, state: ViewState, width: int, height: int
) -> list[Strip]:
    """The map, or why there is none."""
    if findings is None or found is None:
        return message("reading the stored features…", width, height)
    results = findings.results
    if len(found.points) != len(results.texts) or not found.points:
        return message(EMPTY, width, height)
    names = [safe(name, lines=False) for name in results.classes]

    def about(row: int, width: int) -> tuple[str, Sequence[Text]]:
        known = method in results.probabilities
        lines = full_text(results, method, row, width) if known else [Text(safe(results.texts[row], lines=False))]
        return names[results.labels[row]], lines

    return scatter(found, groups_of(names), lambda row: results.labels[row], about, state, width, height)
