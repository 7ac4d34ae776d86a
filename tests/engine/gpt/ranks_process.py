"""One rank of trainings for the tests: reads what to do as JSON lines, and answers with JSON lines."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import torch

from checkpoints.run import Run
from engine.gpt import other_ranks
from engine.gpt.spec import TrainSpec
from engine.gpt.train import TrainingFailed, train
from engine.gpt.trainer import Trainer
from engine.runs import messages
from engine.runs.events import Evaluated, Event, Finished, Notice, Step
from engine.runs.messages import Control
from engine.runs.spec import restored


def lead(asked: dict[str, Any]) -> dict[str, Any]:
    """Train as rank 0 and return losses and notices. ``messages``: what is sent to the training at which step."""
    from pathlib import Path

    run = Run(Path(asked["run"])) if asked.get("run") else None
    control, waiting = Control(), {int(step): message for step, message in asked.get("messages", {}).items()}
    losses: list[float] = []
    found: dict[str, Any] = {"losses": losses, "validation": [], "notices": [], "rates": []}

    def note(event: Event) -> None:
        if isinstance(event, Step):
            losses.append(event.loss)
            found["rates"].append(event.learning_rate)
        elif isinstance(event, Evaluated):
            found["validation"].append(event.val_loss)
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
                print(json.dumps({"step": event.step}), flush=True)
    except TrainingFailed as error:
        found["failed"] = str(error)
    return found


def run_out_of_memory(step: int) -> None:
    """Let the forward and backward pass of one step fail, as if there was no memory for it."""
    really = Trainer._backward

    def failing(trainer: Trainer) -> torch.Tensor:
        if trainer.position.step == step and trainer.position.micro_batch == trainer.spec.batch:
            raise RuntimeError("can't allocate memory: you tried to allocate 1 byte")
        return really(trainer)

    Trainer._backward = failing  # type: ignore[method-assign]


def main() -> None:
    """One line, one training, until the input ends."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["environment"])
        if str(asked.get("out_of_memory")) == os.environ["RANK"]:
            run_out_of_memory(5)
        if int(os.environ["RANK"]):
            other_ranks.serve()
            answer: dict[str, Any] = {}
        else:
            answer = lead(asked)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
