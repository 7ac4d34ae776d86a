"""``llmlab-tui export-metrics``: what runs measured, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from tui.command.driven import DONE
from tui.output import print_message, say
from tui.text import safe


def export_metrics(
    run: Annotated[list[str], Parameter(negative="")],
    /,
    *,
    to: Annotated[tuple[Literal["csv", "jsonl", "parquet", "tensorboard"], Path], Parameter(negative="")],
) -> int:
    """Write the metrics and samples of runs into a folder, for pandas, TensorBoard, trackio or W&B.

    Each run gets a folder of its name there. What a comparison came to is also written as tables in Markdown. Columns
    and tags are listed in docs/reports.md.

    Parameters
    ----------
    run
        One or more runs: name, path or latest.
    to
        The format, then the folder: --to csv DIR.
    """
    from engine.report.export import export

    kind, folder = to
    for found in [runs.find(home.runs(), name) for name in run]:
        written = export(found, kind, folder.expanduser())
        print_message(f"exported {found.name}")
        say(safe(str(written.absolute()), lines=False))
    return DONE
