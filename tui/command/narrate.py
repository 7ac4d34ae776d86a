"""Events for people on stderr, for programs on stdout."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from engine.runs import events
from engine.runs.listing import partial
from tui import units
from tui.output import print_json, print_message

STEP_LINES = 2.0  # seconds between lines about steps
UNDER_WAY = (events.Step, events.Progress, events.Encoded, events.ContenderStep, events.ItemJudged)


class Narrator:
    """Prints events. ``as_json`` puts one JSON object a line on stdout; otherwise lines go to stderr.

    A terminal that went away (EIO) silences it; a reader that went away (EPIPE) raises :class:`BrokenPipeError`.
    """

    def __init__(self, *, as_json: bool, quiet: bool = False, every: float = 0.0) -> None:
        """A ``quiet`` one prints errors and, with ``every``, a line in so many seconds about what is under way."""
        self._json, self._quiet, self._every = as_json, quiet, every
        self._told = time.monotonic() if every else 0.0
        self._doing = ""
        self._sample = ""

    def tell(self, event: events.Event) -> None:
        """Print one event."""
        if self._json:
            print_json(events.to_dict(event))
        elif not self._quiet or (self._every and isinstance(event, UNDER_WAY)):
            self._narrate(event)
        elif isinstance(event, events.Notice) and event.level == "error":
            print_message(event.text)

    def _narrate(self, event: events.Event) -> None:
        match event:
            case events.Started():
                print_message(
                    f"{event.run}: {event.preset}, {event.parameters:,} parameters on {event.device} "
                    f"({event.precision}, {event.threads} threads), corpus {event.corpus}: "
                    f"{event.characters:,} characters, {event.distinct} distinct; "
                    f"step {event.step:,} of {event.steps:,}"
                )
                print_message(
                    f"needs about {units.size(event.memory_needed)} of {units.size(event.memory_free)} free; "
                    f"reference losses: uniform {event.uniform_entropy:.3f}, "
                    f"letter frequencies {event.unigram_entropy:.3f}, bigrams {units.loss(event.bigram_entropy)}"
                )
            case events.Step() if self._due(event.seconds_left == 0):
                print_message(
                    f"step {event.step:>7,}  loss {event.loss:.4f}  lr {units.rate(event.learning_rate):>7}  "
                    f"grad {event.gradient_norm:.2f}  {units.count(event.tokens_per_second)} tokens/s "
                    f"({event.peak_share:.0%} of peak)  {units.duration(event.seconds_left)} left"
                )
            case events.Evaluated():
                mark = "  best" if event.best_step == event.step else ""
                print_message(
                    f"step {event.step:>7,}  validation loss {event.val_loss:.4f} nats, "
                    f"{event.bits_per_character:.4f} bits per character{mark}"
                )
            case events.SampleText():
                self._sample += event.text
                if event.done:
                    print_message(f"sample at step {event.step:,}:")
                    print_message("  │ " + self._sample.strip("\n").replace("\n", "\n  │ "))
                    self._sample = ""
            case events.Estimated():
                print_message(
                    f"{event.seconds_per_step * 1000:.1f} ms per step, {units.duration(event.seconds_left)} left"
                )
            case events.Saved():
                print_message(f"step {event.step:>7,}  saved {units.size(event.bytes)} in {event.seconds:.2f} s")
            case events.Notice():
                print_message(f"{event.level}: {event.text}" if event.level != "info" else event.text)
            case events.Paused():
                print_message(f"paused at step {event.step:,}")
            case events.Progress() if self._due(event.what != self._doing):
                self._doing = event.what
                print_message(f"{event.what}{units.progress(event)}")
            case events.Loaded():
                print_message(f"{event.data} ({event.source}): {_counts(event)}")
                for line in (*event.repairs, *event.checks):
                    print_message(f"  {line}")
            case events.Encoded() if self._due(event.done == event.total):
                cached, per_second = ", cached" * bool(event.cached), event.sequences_per_second
                speed = f", {per_second:.0f} per second" if per_second else cached
                left = f", {units.duration(event.seconds_left)} left" if event.done < event.total else ""
                print_message(f"{event.what}: {event.done:,} of {event.total:,} texts{speed}{left}")
            case events.EncodingDone():
                print_message(str(event))
            case events.ContenderStep() if self._due(_tells_epoch(event)):
                looked = ""
                if event.held_out_score is not None and event.held_out_loss is not None:
                    looked = f"  validation loss {event.held_out_loss:.4f}, accuracy {event.held_out_score:.4f}"
                elif event.held_out_score is not None:
                    looked = f"  held-out nDCG@10 {event.held_out_score:.4f} over {event.documents:,} documents"
                left = f"  {units.duration(event.seconds_left)} left" if event.seconds_left else ""
                of = f" of {event.steps:,}" if event.steps else ""
                note = f"  {event.note}" if event.note else ""
                print_message(f"{event.contender}: step {event.step:,}{of}  loss {event.loss:.4f}{looked}{note}{left}")
            case events.ItemJudged() if event.done < event.total and self._due():
                print_message(
                    f"{event.contender}: {event.done:,} of {event.total:,} questions, accuracy so far "
                    f"{event.accuracy:.4f} ({event.low:.4f} to {event.high:.4f})"
                )
            case events.ContenderDone():
                print_message(f"{event.contender}: {_figures(event.result)}")
            case events.CurvePoint():
                print_message(f"{event.contender}: {event.labels:,} labels per class: accuracy {event.accuracy:.4f}")
            case events.Classified():
                methods = f"{event.step} method{'s' * (event.step != 1)}"
                print_message(f"{_ending(event)}: {methods} in {units.duration(event.seconds)}")
            case events.Finished():
                best = f", best validation loss {event.best_val_loss:.4f}" if event.best_val_loss is not None else ""
                print_message(f"{_ending(event)} at step {event.step:,}{best}")

    def _due(self, always: bool = False) -> bool:
        """Whether it is time for another line about what goes on for long."""
        now = time.monotonic()
        due = (always and not self._every) or now - self._told >= (self._every or STEP_LINES)
        self._told = now if due else self._told
        return due


def _ending(last: events.Finished) -> str:
    """The state that a run ended in, and why where that does not follow from it."""
    why = "" if last.reason in ("steps", "done", last.state) else f" ({last.reason.replace('_', ' ')})"
    return f"{last.state}{why}"


def _tells_epoch(event: events.ContenderStep) -> bool:
    """Whether this is the end of a long epoch, which is worth a line whenever it comes."""
    return event.contender in ("finetune", "trained") and event.held_out_score is not None


def _counts(event: events.Loaded) -> str:
    if event.task == "retrieve":
        judged = f", {event.judged:,} {event.judged_split} queries judged" if event.judged_split else ""
        return f"{event.documents:,} documents, {event.train:,} train queries{judged}"
    if event.task == "choose":
        return f"{event.train:,} train, {event.held_out:,} held out, {event.judged:,} judged questions"
    return f"{event.train:,} train, {event.held_out:,} validation, {event.judged:,} test texts"


def _figures(told: Mapping[str, Any]) -> str:
    low, high = told["interval"]
    if "ndcg@10" in told:
        count = f", n = {told['queries']:,}" if "queries" in told else ""
        return (
            f"nDCG@10 {told['ndcg@10']:.4f} ({low:.4f} to {high:.4f}{count}), recall@100 "
            f"{told['recall@100']:.4f}, {told['queries_per_second']:.0f} queries per second, index "
            f"{units.size(told['index_bytes'])} built in {units.duration(told['index_seconds'])}"
        )
    if "macro_f1" in told:
        return (
            f"accuracy {told['accuracy']:.4f} ({low:.4f} to {high:.4f}, n = {told['rows']:,}), macro F1 "
            f"{told['macro_f1']:.4f}, log loss {told['log_loss']:.4f}, "
            f"{told['trained_parameters']:,} parameters trained in {units.duration(told['seconds'])}"
        )
    hidden = told.get("question_hidden")
    alone = f", {hidden['accuracy']:.4f} with the question hidden" if hidden else ""
    spent = f", {units.duration(told['seconds'])}" if told["seconds"] else ""
    return (
        f"accuracy {told['accuracy']:.4f} ({low:.4f} to {high:.4f}, n = {told['items']:,}{partial(told)}){alone}{spent}"
    )
