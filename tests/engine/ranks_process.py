"""One process of a run for the tests: reads what to do as JSON lines, and answers with JSON lines."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from checkpoints.run import Run
from engine import other_ranks
from engine.encoders import encode as encoding
from engine.encoders import find
from engine.encoders import other_ranks as encoding_ranks
from engine.encoders.features import Shelf
from engine.gpt.model import GPT
from engine.gpt.spec import TrainSpec
from engine.gpt.train import TrainingFailed, train
from engine.runs import messages
from engine.runs.events import Encoded, Evaluated, Event, Finished, Notice, Paused, SampleText, Step
from engine.runs.messages import Control, Stopped
from engine.runs.spec import restored
from engine.runs.tasks import with_others


def lead(asked: dict[str, Any]) -> dict[str, Any]:
    """Train as rank 0 and return losses and notices. ``messages``: what is sent to the training at which step."""
    run = Run(Path(asked["run"])) if asked.get("run") else None
    control, waiting = Control(), {int(step): message for step, message in asked.get("messages", {}).items()}
    losses: list[float] = []
    found: dict[str, Any] = {"losses": losses, "validation": [], "notices": [], "rates": [], "sample": ""}

    def note(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(event.loss)
            found["rates"].append(event.learning_rate)
        elif isinstance(event, Evaluated):
            found["validation"].append(event.val_loss)
        elif isinstance(event, SampleText):
            found["sample"] += event.text
        elif isinstance(event, Notice) and event.level != "info":
            found["notices"].append(event.text)
        elif isinstance(event, Finished):
            found["reason"] = event.reason

    try:
        for event in train(restored(TrainSpec, asked["spec"]), control, run=run, resume=asked.get("resume", False)):
            note(event)
            if isinstance(event, Step) and (message := waiting.pop(event.step, None)):
                for kind, fields in message:
                    control.send(getattr(messages, kind)(**fields))
            if isinstance(event, Step) and asked.get("told_at") == event.step:
                tell({"step": event.step})
            if isinstance(event, Paused) and asked.get("paused"):
                tell({"paused": event.step})
                sys.stdin.readline()  # until the test goes on
                control.send(messages.Stop())
    except TrainingFailed as error:
        found["failed"] = str(error)
    return found


def encode(asked: dict[str, Any]) -> dict[str, Any]:
    """Encode texts as rank 0, and put their features into a file. ``stop_at``: texts after which it is stopped."""
    encoding.ROWS = 16
    control, told, found = Control(), [], {}

    def work() -> Iterator[Event]:
        encoder = messages.finish(find.find(asked["encoder"]))
        try:
            features = yield from encoding.encode(asked["texts"], encoder, control, device="cpu")
        except Stopped:
            yield Finished("stopped", 0, None, "")
            return
        features.pooled("mean").tofile(asked["features"])
        yield Finished("done", 0, None, "")

    with mock.patch.object(Shelf, "put", autospec=True, side_effect=Shelf.put) as put:
        for event in with_others(work()):
            told.append(event)
            if isinstance(event, Encoded) and event.done >= asked.get("stop_at", len(asked["texts"]) + 1):
                control.send(messages.Stop())
    found["shards"] = put.call_count
    found["done"] = [event.done for event in told if isinstance(event, Encoded)]
    found["notices"] = [event.text for event in told if isinstance(event, Notice)]
    found["reason"] = told[-1].reason if isinstance(told[-1], Finished) else ""
    return found


def agent(asked: dict[str, Any]) -> dict[str, Any]:
    """Be the torchrun of one machine."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main(asked["arguments"])
    except ChildFailedError as error:
        return {"failed": str(error)}
    return {}


def failing(owner: Any, name: str, error: Exception, call: int, *, training: bool = True) -> Any:
    """Let one call of a function fail, the first being 1, of those with gradients or of those without."""
    really, calls = getattr(owner, name), itertools.count(1)

    def instead(*given: Any, **named: Any) -> Any:
        if torch.is_grad_enabled() == training and next(calls) == call:
            raise error
        return really(*given, **named)

    return mock.patch.object(owner, name, instead)


def faults(rank: int, asked: dict[str, Any]) -> Any:
    """What fails in this rank: a forward pass of the training or of an evaluation, or the opening of an encoder."""
    full = RuntimeError("can't allocate memory: you tried to allocate 1 byte")
    match asked.get("fail", {}).get(str(rank)):
        case {"step": number}:
            return failing(GPT, "loss", full, number)
        case {"evaluation": number}:
            return failing(GPT, "loss", full, number, training=False)
        case {"encoder": reason}:
            return failing(encoding_ranks, "machine_for", ValueError(reason), 1)
    return contextlib.nullcontext()


def tell(record: dict[str, Any]) -> None:
    """Answer with a line."""
    print(json.dumps(record), flush=True)


def main() -> None:
    """One line, one piece of work, until the input ends."""
    torch.set_num_threads(1)
    kinds = {"train": lead, "encode": encode, "agent": agent}
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["environment"])
        rank = int(os.environ["RANK"])
        with faults(rank, asked):
            if rank == 0:
                answer = kinds[asked["work"]](asked)
            else:
                other_ranks.serve()
                answer = {}
        tell(answer)


if __name__ == "__main__":
    main()
