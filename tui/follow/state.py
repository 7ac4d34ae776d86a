"""The states of a run on the screen: a word, a mark and a colour for each, the same in every pane that follows."""

from __future__ import annotations

from rich.text import Text

from tui.text import safe
from tui.widgets.styled import BAD, GOOD, MUTED, WARN

NONE, OPENING, STARTING, RUNNING, PAUSED = "none", "opening", "starting", "running", "paused"
QUEUED = "queued"
STOPPING, STOPPED, FINISHED = "stopping", "stopped", "finished"
FAILED, INTERRUPTED, UNREADABLE = "failed", "interrupted", "unreadable"
PAUSING, CONTINUING = "pausing", "continuing"
"""what F6 has asked for and the run has not answered"""
LIVE = frozenset({STARTING, RUNNING, PAUSED, PAUSING, CONTINUING})
ENDED = frozenset({FINISHED, FAILED, INTERRUPTED})
"""without having been asked to"""
RESUMABLE = frozenset({STOPPED, FAILED, INTERRUPTED})
UNTOLD = frozenset({STARTING, UNREADABLE})
"""whose end no journal tells"""
MARKS = {
    NONE: ("○", MUTED),
    OPENING: ("○", WARN),
    QUEUED: ("○", MUTED),
    STARTING: ("○", WARN),
    RUNNING: ("●", GOOD),
    PAUSING: ("●", WARN),
    CONTINUING: ("●", WARN),
    PAUSED: ("‖", WARN),
    STOPPING: ("■", WARN),
    STOPPED: ("■", ""),
    FINISHED: ("✓", GOOD),
    FAILED: ("✗", BAD),
    INTERRUPTED: ("▲", WARN),
    UNREADABLE: ("✗", BAD),
}
"""mark and colour by state"""


def line(state: str, sentence: str) -> Text:
    """A sentence about a run, after the mark of its state."""
    mark, colour = MARKS[state]
    return Text.assemble((f"{mark} ", colour), safe(sentence, lines=False))
