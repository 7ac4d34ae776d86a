"""The fine-tuned ranker of a run as a folder that ``transformers`` loads, with a README that shows its use."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.choose.fine_tune import USE
from engine.comparison.results import TUNED
from engine.encoders.epochs import METHOD
from engine.model_folder import exported, present, size


def tuned_model(run: Run) -> Path:
    """The folder of the model that ``run`` has fine-tuned. Raises :class:`checkpoints.store.CheckpointError`."""
    folder = present(run.path / TUNED)
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{run.name} has no fine-tuned model")
    return folder


def export(run: Run, folder: Path, *, force: bool = False) -> int:
    """Write the fine-tuned model of ``run`` into ``folder``, with a README that shows its use, and return its bytes.

    Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`, see :func:`engine.model_folder.exported`.
    """
    source = tuned_model(run)
    with exported(folder, run.name, force=force) as temporary:
        shutil.copytree(source, temporary, dirs_exist_ok=True)
        (temporary / "README.md").write_text(_card(run), "utf-8", "backslashreplace")
        return size(temporary)


def _card(run: Run) -> str:
    """What the model was trained on, how, and how good it is."""
    spec, results = run.read_json("spec.json"), run.read_json("results.json")
    found: Any = results.get(METHOD)
    result: dict[str, Any] = found if isinstance(found, dict) else {}
    facts = [
        ("trained on", spec.get("data")),
        ("encoder", spec.get("encoder")),
        ("settings", result.get("settings")),
        ("accuracy on items that it was not trained on", result.get("accuracy")),
        ("95% interval", result.get("interval")),
        ("number of these items", result.get("items")),
        ("seed", spec.get("seed")),
        ("max tokens", spec.get("length")),
        ("texts that were cut to them", result.get("truncated_texts")),
        ("of so many texts", result.get("texts")),
        ("seconds of training and ranking", result.get("seconds")),
    ]
    lines = [
        f"- {name}: `{' '.join(str(value).replace('`', ' ').split())}`" for name, value in facts if value is not None
    ]
    return "\n".join((f"# {run.name}", "", *lines, "", "```python", USE.strip(), "```", ""))
