"""Runs made of a few lines of a journal."""

from __future__ import annotations

import json
from collections.abc import Sequence

from checkpoints import home
from checkpoints.run import Run


def training(
    name: str, losses: Sequence[float], validation: dict[int, float], text: str = "dante", **spec: object
) -> Run:
    """A training with these losses of its steps, and validation losses by step; a step takes two seconds."""
    run = Run(home.runs() / name)
    run.path.mkdir(parents=True)
    run.write_json("spec.json", {"task": "train", "name": name, "batch": 4, "context": 8, "seed": 1, **spec})
    started = {"event": "started", "step": 0, "fingerprint": text, "tokens_per_step": 32, "train_tokens": 320}
    rows: list[dict[str, object]] = [{**started, "time": 10.0}]
    for number in range(len(losses) + 1):
        if number:
            measured = {"loss": losses[number - 1], "learning_rate": 1e-3, "gradient_norm": 1.0}
            speed = {"tokens_per_second": 16.0, "peak_share": 0.1, "seconds_left": 0.0}
            rows.append({"event": "step", "step": number, **measured, **speed})
        if number in validation:
            rows.append({"event": "evaluated", "step": number, "val_loss": validation[number]})
    run.events.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return run
