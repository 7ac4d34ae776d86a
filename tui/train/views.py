"""What the Train pane draws around the curve: how far the run is, its figures, a sample, and the last notices."""

from __future__ import annotations

import math

from rich.text import Text
from textual.strip import Strip

from checkpoints.run import after_time
from tui import units
from tui.follow import state as states
from tui.follow.story import Sample, Story
from tui.text import safe
from tui.widgets.styled import BRIGHT, GOOD, MUTED, done_bar, notice_text, paragraph, progress_text, strip, wrap

BELOW = (
    ("bigram_entropy", "bigrams", "the model uses more than the previous letter"),
    ("unigram_entropy", "letter frequencies", "the model uses previous letters"),
)
"""references that a validation loss can lie below, the lowest first, and what follows then"""
COLUMNS = (
    (("validation", "val", 6), ("best", "best", 6)),
    (("bits/char", "bits/char", 7), ("at step", "at step", 7)),
    (("tokens/s", "tokens/s", 7), ("of hardware peak", "of peak", 7)),
    (("learning rate", "rate", 7), ("gradient norm", "gradient", 7)),
    (("last saved", "saved", 7), ("epoch", "epoch", 7)),
    (("batch loss", "batch", 6), ("parameters", "size", 6)),
)
"""two figures above each other in every column: name, short name, and cells of the value; the last give way"""


def status(story: Story, state: str, name: str, width: int) -> Text:
    """State and name of the run, and how far it is."""
    text = states.line(state, f"{state}  ").append(after_time(safe(name, lines=False)), "bold")
    progress, ended = story.progress, story.finished
    if progress is not None and ended is None:
        return text.append("  " + progress_text(progress, width - text.cell_len - 2), MUTED)
    far, left = how_far(story)
    if not far or story.started is None:
        return text
    cells = max(6, min(60, width - text.cell_len - len(far) - 24))  # room for "12 h 07 min left"
    text.append("  ").append_text(done_bar(story.step, story.started.steps, cells))
    return text.append(f"  {far}", BRIGHT).append(f"   {left}", MUTED)


def how_far(story: Story) -> tuple[str, str]:
    """Steps that are done of all, and the time left, or that the run has taken where that is known."""
    if story.started is None or not story.started.steps:
        return "", ""
    steps, ended = story.started.steps, story.finished
    left = ""
    if ended is None and story.last is not None:
        left = f"{units.duration(story.last.seconds_left)} left"
    elif ended is not None and ended.seconds:  # a process that was killed could not tell
        left = units.duration(ended.seconds)
    return f"{story.step:,} / {steps:,}".rjust(len(f"{steps:,}") * 2 + 3), left


def values(story: Story, cursor: int | None) -> dict[str, str]:
    """The figures of a step, or of now."""
    bucket = story.train.at(cursor) if cursor is not None else None
    step = bucket.last if bucket else story.last
    last = story.evaluations[-1] if story.evaluations else None
    evaluated = last if cursor is None else story.evaluation_at(cursor)
    best, started = story.best, story.started
    at = cursor if cursor is not None else story.step
    epoch = at * started.tokens_per_step / started.train_tokens if started and started.train_tokens else 0.0
    return {
        "step": f"{at:,}",
        "batch loss": loss(bucket.mean if bucket else step.loss if step else None),
        "validation": loss(evaluated.val_loss if evaluated else None),
        "bits/char": f"{evaluated.bits_per_character:.2f}" if evaluated else "–",
        "best": loss(best.val_loss if best else None),
        "at step": f"{best.step:,}" if best else "–",
        "tokens/s": _rate(step.tokens_per_second) if step else "–",
        "of hardware peak": f"{step.peak_share:.0%}" if step else "–",
        "learning rate": units.rate(step.learning_rate) if step else "–",
        "gradient norm": f"{step.gradient_norm:.3g}" if step else "–",
        "last saved": f"{story.saved.step:,}" if story.saved else "–",
        "epoch": f"{epoch:.2f}",
        "parameters": units.count(started.parameters) if started else "–",
    }


def labels(width: int) -> dict[str, str]:
    """What the figures are called in ``width`` cells: the names are short where that saves a column."""
    long = sum(max(len(name) for name, _, _ in column) + column[0][2] + 4 for column in COLUMNS[:5]) <= width
    return {name: name if long else short for column in COLUMNS for name, short, _ in column}


def figures(shown: dict[str, str], width: int) -> list[Strip]:
    """Two lines of figures, in as many columns as there is room for."""
    rows, named = [Text(), Text()], labels(width)
    for column in COLUMNS:
        names = [named[name] for name, _, _ in column]
        label, cells = max(map(len, names)), column[0][2]
        if rows[0].cell_len + label + cells + 1 > width:
            break
        for row, (key, _, _), name in zip(rows, column, names, strict=True):
            style = f"bold {BRIGHT}" if key == "validation" else BRIGHT
            row.append(f"{name:<{label}} ", MUTED).append(f"{shown[key]:>{cells}}", style).append("   ")
    return [strip(row, width) for row in rows]


def sample(shown: Sample | None, width: int, height: int) -> list[Strip]:
    """The end of a sample, as far as it is written."""
    if shown is None:
        return paragraph("Samples appear here during training.", width)
    text = Text(safe(shown.prompt), MUTED)
    text.append(safe(shown.text), "default")
    if not shown.done:
        text.append("▌", BRIGHT)
    lines = wrap(text, width)
    while lines and not lines[0].plain.strip():
        lines.pop(0)
    return [strip(line, width) for line in lines[-height:]]


def sample_title(shown: Sample | None) -> str:
    """Which sample is shown."""
    return f"sample at step {shown.step:,}" if shown else "sample"


def last_notices(story: Story, outcome: Text | None, width: int, height: int) -> list[Strip]:
    """The last notices, and below them how the run stands, or while it trains what the validation loss says."""
    last = [outcome] if outcome is not None else meaning(story)
    below = [line for text in last for line in wrap(text, width)][:height]
    room = height - len(below)
    lines: list[Text] = []
    for notice in reversed(story.notices):
        wrapped = wrap(notice_text(notice), width)
        lines = wrapped if len(wrapped) >= room else wrapped + lines
        if len(lines) >= room or notice.level != "info":
            break
    return [strip(line, width) for line in lines[:room] + below]


def meaning(story: Story) -> list[Text]:
    """A line about the lowest reference that the validation loss lies below, and since when."""
    if (found := below(story)) is None:
        return []
    name, since, follows = found
    return [Text.assemble(("✓ ", GOOD), f"Below {name} since step {since:,}: {follows}.")]


def below(story: Story) -> tuple[str, int, str] | None:
    """The lowest reference that the validation loss lies below, since which step, and what follows."""
    for field, name, follows in BELOW:
        reference = getattr(story.started, field, None)
        since = None
        for point in story.evaluations:
            lower = reference is not None and math.isfinite(point.val_loss) and point.val_loss < reference
            since = (since if since is not None else point.step) if lower else None
        if since is not None:
            return name, since, follows
    return None


def loss(value: float | None) -> str:
    """Nats with three decimals."""
    return "–" if value is None else f"{value:.3f}" if abs(value) < 1e4 else f"{value:.2e}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value < 1e6 else units.count(value)
