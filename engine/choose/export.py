"""The fine-tuned ranker of a run as a folder that ``transformers`` loads, with a README that shows its use."""

from __future__ import annotations

import shutil
from pathlib import Path

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.choose.fine_tune import USE
from engine.choose.runs import spec_of
from engine.comparison.model_card import ModelCard
from engine.comparison.results import TUNED, has_tuned
from engine.encoders.epochs import METHOD
from engine.model_folder import exported, present, size

_CARD = ModelCard(
    "An encoder that was fine-tuned to rank the choices of a question",
    {"pipeline_tag": "multiple-choice", "library_name": "transformers"},
    USE,
    data=(),
    judged="the judged questions, on which nothing was trained or chosen",
    method=METHOD,
    columns={
        "accuracy": "accuracy",
        "interval": "95% interval",
        "items": "n",
        "chance": "by guessing",
        "log_loss": "log loss",
        "truncated_texts": "texts cut to the maximum length",
        "seconds": "seconds",
        "settings": "settings",
    },
)


def methods(run: Run) -> list[str]:
    """What :func:`export` can write."""
    return [METHOD] * has_tuned(run)


def export(run: Run, folder: Path, *, method: str = "", force: bool = False) -> tuple[str, int]:
    """Write the fine-tuned model of ``run`` into ``folder``, with a README that shows its use; its method and bytes.

    Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`, see :func:`engine.model_folder.exported`.
    """
    if not methods(run):
        raise CheckpointError(f"{run.name} has no fine-tuned model")
    spec = spec_of(run)
    with exported(folder, run.name, force=force) as temporary:
        shutil.copytree(present(run.path / TUNED), temporary, dirs_exist_ok=True)
        _CARD.write(run, spec, temporary)
        return METHOD, size(temporary)
