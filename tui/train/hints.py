"""What F1 explains in the Train pane: the curve and its references, the figures, the sample, and the form's facts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from tui import units
from tui.follow.story import Story
from tui.hints import MISSING, Hint, Row, hints
from tui.train import views
from tui.widgets.curve import REFERENCES, CurveOptions, reference

FIGURES = (
    Row(
        "validation",
        "The mean cross-entropy on the whole validation split is {validation} nats = {bits/char} bits per character.",
        "{against}",
        "cross-entropy",
    ),
    Row(
        "best",
        "The lowest validation loss of the run is {best} nats, at step {at step}.",
        "The last one is {validation} nats; if it rises while the batch loss falls, the model overfits.",
        "overfitting",
    ),
    Row(
        "bits/char",
        "{validation} nats divided by ln 2 are {bits/char} bits per character.",
        "Without a model a character of this corpus takes log2 of {distinct} = {uniform bits} bits.",
        "bits per character",
    ),
    Row(
        "at step",
        "The lowest validation loss, {best} nats, was measured at step {at step}.",
        "The checkpoint of that step is kept; the figures are of step {step}.",
        "checkpoint",
    ),
    Row(
        "tokens/s",
        "Training processes {tokens/s} tokens per second; a token is a character here.",
        "A step of {per step} tokens takes {step time}.",
        "token",
    ),
    Row(
        "of hardware peak",
        "Training computes at {of hardware peak} of {peak}, the rate of a large matrix product on this device.",
        "The rest of the time goes to small operations, memory traffic and the calls themselves.",
        "FLOP/s",
    ),
    Row(
        "learning rate",
        "The optimizer takes step {step} with a learning rate of {learning rate}.",
        "The schedule raises it during warm-up and lowers it later; l sets another peak.",
        "learning rate",
    ),
    Row(
        "gradient norm",
        "The gradient of all parameters has the norm {gradient norm} before clipping.",
        "What exceeds the limit of the clipping is scaled down; norms that keep growing announce divergence.",
        "gradient norm",
    ),
    Row(
        "last saved",
        "The newest checkpoint is of step {last saved}; the figures are of step {step}.",
        "A run that stops or dies resumes from it and gives the same losses.",
        "checkpoint",
    ),
    Row(
        "epoch",
        "At step {step} the model has seen {seen} characters: {epoch} times the {train} of the training split.",
        "From 1 on it sees text that it has seen before, unless windows are drawn at random.",
        "epoch",
    ),
    Row(
        "batch loss",
        "The mean cross-entropy of the batch at step {step} is {batch loss} nats per character.",
        "It is of a few windows and with dropout, so it varies more than the validation loss, {validation} nats.",
        "batch",
    ),
    Row(
        "parameters",
        "The model has {parameters} parameters, the numbers that training changes.",
        "Training it needs about {memory} for weights, gradients, the optimizer's state and activations.",
        "parameter",
    ),
)
GUESSES = {
    "uniform": "Giving each of {distinct} characters the same probability has a loss of ln {distinct} = {loss} nats.",
    "letter frequencies": "Predicting each character by its frequency in the corpus has a loss of {loss} nats.",
    "bigrams": "Predicting each character from the one before it, with counts of pairs, has a loss of {loss} nats.",
}
FACTS = (
    Row(
        "parameters",
        "The model that the form describes has {parameters} trainable numbers.",
        "They follow from layers, width, context and the {distinct} characters of the vocabulary.",
        "parameter",
    ),
    Row(
        "memory",
        "Training needs about {memory}: weights, gradients, the optimizer's state, and activations of a batch.",
        "A smaller batch, context or model needs less.",
    ),
    Row(
        "per step",
        "Every optimizer step takes {per step}: batch times context.",
        "The loss of a step is the mean over them.",
        "batch",
    ),
    Row(
        "one epoch",
        "After {one epoch} the model has seen as many characters as the training split has, 90% of the corpus.",
        "The whole run takes {whole run}.",
        "epoch",
    ),
    Row(
        "whole run",
        "All steps together take {whole run}, of {one epoch} each.",
        "After many epochs a model learns the text by heart: the validation loss rises again.",
        "epoch",
    ),
    Row(
        "prompt",
        "Of the samples' prompt, the {prompt}.",
        "The model does not see them; a longer context or a shorter prompt avoids that.",
        "context",
    ),
    Row(
        "characters",
        "The corpus has {characters}.",
        "The distinct ones are the vocabulary: each is a token.",
        "vocabulary",
    ),
    Row(
        "ln V",
        "Giving each character the same probability has a loss of {ln V} (ln of the vocabulary's size), in nats.",
        "An untrained model begins near it.",
        "cross-entropy",
    ),
    Row(
        "unigrams",
        "Predicting by {unigrams} alone has a loss of that many nats per character.",
        "A model below it uses previous characters.",
        "unigram",
    ),
    Row(
        "bigrams",
        "Predicting by {bigrams}, one previous character, has a loss of that many nats per character.",
        "A model below it uses more than the previous character.",
        "bigram",
    ),
)


def figures(story: Story, cursor: int | None, width: int) -> list[Hint]:
    """Of the lines of figures in ``width`` cells."""
    return hints(FIGURES, known(story, cursor), views.labels(width))


def curve(story: Story, options: CurveOptions) -> list[Hint]:
    """Of the marks in the legend, and of the references that the curve is drawn against."""
    values = known(story, options.cursor)
    text = hints(FIGURES[:1], values)[0].text
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
        return [Hint("Step", (values["step"],), text, "step"), *hints((FIGURES[10], FIGURES[0]), values)]
    if (found := views.below(story)) is None:
        return []
    name, since, follows = found
    text = f"From step {since:,} on every validation loss lies below that of {name}. So {follows}."
    return [Hint(f"Below {name}", (f"{since:,}",), text, "cross-entropy")]


def facts(entries: Iterable[tuple[str, str]], distinct: int) -> list[Hint]:
    """Of what stands beside the form."""
    values: Mapping[str, str] = {"whole run": MISSING, "distinct": f"{distinct:,}", **dict(entries)}
    return [hint for hint in hints(FACTS, values) if hint.shown != (MISSING,)]


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
