"""What a run has told before now is folded in the thread that reads it, and handed to the screen as one value."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.runs.events import Event, Progress
from engine.runs.messages import Control
from engine.runs.past import READING, Past
from engine.runs.worker import Task


@dataclass(frozen=True)
class Folded(Event):
    """The story of a run until now. Whoever drains it owns it: the thread that made it does not keep it."""

    story: Any
    """a :class:`tui.follow.story.BaseStory`"""


def folding(task: Task, story: Any) -> Task:
    """``task``, with its :class:`engine.runs.past.Past` folded into ``story``, which is new."""

    def folded(control: Control) -> Iterator[Event]:
        for event in task(control):
            if not isinstance(event, Past):
                yield event
                continue
            for told in event.events:
                if isinstance(told, Progress) and told.what == READING:
                    yield told
                else:
                    story.fold(told)
            yield Folded(story)

    return folded
