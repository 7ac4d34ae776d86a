"""What F1 explains in the Train pane: the curve and its references, the figures, the sample, and the form's facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from tui import units
from tui.follow.story import Story
from tui.hints import MISSING, Hint, hints, read
from tui.train import views
from tui.widgets.curve import REFERENCES, CurveOptions, reference

VIEWS = read(Path(__file__).with_suffix(".jsonl"))
FIGURES = {row.name: row for row in VIEWS["figures"]}
GUESSES = {
    "uniform": "Giving each of {distinct} characters the same probability has a loss of ln {distinct} = {loss} nats.",
    "letter frequencies": "Predicting each character by its frequency in the corpus has a loss of {loss} nats.",
    "bigrams": "Predicting each character from the one before it, with counts of pairs, has a loss of {loss} nats.",
}


def figures(story: Story, cursor: int | None, width: int) -> list[Hint]:
    """Of the lines of figures in ``width`` cells."""
    return hints(FIGURES.values(), known(story, cursor), views.labels(width))


def curve(story: Story, options: CurveOptions) -> list[Hint]:
    """Of the marks in the legend, and of the references that the curve is drawn against."""
    values = known(story, options.cursor)
    text = hints([FIGURES["validation"]], values)[0].text
    span = f"mean of {options.smoothing} steps"
    found = [
        Hint("validation", (), text, "cross-entropy"),
        Hint(
            span,
            (span,) if options.smoothing else (),
            f"The line is the mean loss of about {options.smoothing} steps; the batch of step {values['step']} has "
            f"{values['batch loss']} nats. It shows the trend that single batches hide; s changes the number of steps.",
            "moving average",
        ),
        Hint(
            "batch",
            (),
            "The band reaches from the lowest to the highest loss of the batches around a step. Its width is the noise "
            "of few windows: no single batch says whether the model has improved.",
            "batch",
        ),
    ]
    if options.before:
        at, last = options.before[-1]
        told = f"The run branched from another one, whose validation loss was {last:.3f} nats at step {at:,.0f}."
        found.append(Hint("parent", (), told, "checkpoint"))
    for field, name in REFERENCES:
        if (loss := getattr(story.started, field, None)) is not None:
            shown = reference(loss)
            told = GUESSES[name].format(loss=shown, distinct=values["distinct"])
            found.append(
                Hint(name, (shown,), f"{told} {_apart(story, options.cursor, loss).capitalize()}.", "cross-entropy")
            )
    return found


def status(story: Story) -> list[Hint]:
    """Of the line that tells how far the run is."""
    far, left = views.how_far(story)
    if not far or story.started is None:
        return []
    share = story.step / story.started.steps
    time = f"At the speed of the last steps the rest takes {left.removesuffix(' left')}."
    if story.finished is not None:
        time = f"The process has worked for {left}." if left else "How long the process has worked is not known."
    text = f"{far.strip()} optimizer steps are done, {share:.0%}. {time}"
    return [Hint(far.strip(), tuple(filter(None, (far.strip(), left))), text, "step")]


def sample(story: Story, cursor: int | None) -> list[Hint]:
    """Of the sample's title."""
    shown = story.sample_at(cursor)
    if shown is None:
        return []
    then = story.evaluation_at(shown.step)
    loss = f", when the validation loss was {views.loss(then.val_loss)} nats" if then else ""
    text = f"The model wrote these {len(shown.text):,} characters at step {shown.step:,}{loss}."
    more = "Each character is drawn from the probabilities that the model gives after what stands before it."
    return [Hint("sample", (views.sample_title(shown),), f"{text} {more}", "sampling")]


def notices(story: Story, cursor: int | None) -> list[Hint]:
    """Of the line below the figures."""
    if cursor is not None:
        values = known(story, cursor)
        text = f"The cursor is on step {values['step']}. ←→ walk over the steps with an evaluation or a sample."
        return [
            Hint("Step", (values["step"],), text, "step"),
            *hints((FIGURES["batch loss"], FIGURES["validation"]), values),
        ]
    if (found := views.below(story)) is None:
        return []
    name, since, follows = found
    text = f"From step {since:,} on every validation loss lies below that of {name}. So {follows}."
    return [Hint(f"Below {name}", (f"{since:,}",), text, "cross-entropy")]


def facts(entries: Iterable[tuple[str, str]], distinct: int) -> list[Hint]:
    """Of what stands beside the form."""
    values: Mapping[str, str] = {"whole run": MISSING, "distinct": f"{distinct:,}", **dict(entries)}
    return [hint for hint in hints(VIEWS["facts"], values) if hint.shown != (MISSING,)]


def known(story: Story, cursor: int | None) -> dict[str, str]:
    """The figures as they are drawn, and what is derived from them."""
    derived = dict.fromkeys(
        ("distinct", "uniform bits", "per step", "step time", "peak", "seen", "train", "memory"), MISSING
    )
    derived["against"] = "It is compared with what guessing reaches once it is there."
    if (started := story.started) is not None:
        at, speed = cursor if cursor is not None else story.step, story.last.tokens_per_second if story.last else 0.0
        derived |= {
            "distinct": f"{started.distinct:,}",
            "uniform bits": f"{started.uniform_entropy / math.log(2):.2f}",
            "per step": f"{started.tokens_per_step:,}",
            "step time": f"{1000 * started.tokens_per_step / speed:,.3g} ms" if speed else MISSING,
            "peak": f"{units.count(started.peak_flops)}FLOP/s",
            "seen": f"{at * started.tokens_per_step:,}",
            "train": f"{started.train_tokens:,}",
            "memory": units.size(started.memory_needed),
        }
        losses = [(name, getattr(started, field)) for field, name in REFERENCES]
        name, loss = [one for one in losses if one[1] is not None][-1]
        way = "Uniform guessing" if name == "uniform" else f"Guessing by {name}"
        derived["against"] = f"{way} reaches {reference(loss)} nats; {_apart(story, cursor, loss)}."
    return {**views.values(story, cursor), **derived}


def _apart(story: Story, cursor: int | None, loss: float) -> str:
    """How far the validation loss lies from a reference."""
    point = story.evaluations[-1] if story.evaluations else None
    point = point if cursor is None else story.evaluation_at(cursor)
    if point is None or not math.isfinite(point.val_loss):
        return "the model has no validation loss to compare"
    side = "below" if point.val_loss < loss else "above"
    return f"the model's {views.loss(point.val_loss)} nats lie {abs(point.val_loss - loss):.2f} {side}"
