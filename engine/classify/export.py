"""What a classification hands to other programs: its suspicious labels as a table."""

from __future__ import annotations

import csv
import io

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.classify import results

SUSPECT_COLUMNS = ("file", "row", "label", "suggested", "probability", "suggested_probability", "text")


def suspects_csv(run: Run) -> str:
    """Training rows whose label is probably wrong, the most probable first, as CSV with a header.

    ``row`` counts the rows of ``file`` from 1, see :class:`data.tablefiles.Row`. Raises
    :class:`checkpoints.store.CheckpointError`, also when the run did not look for them.
    """
    found = results.read(run)
    if not (run.path / "suspects.json").is_file():
        raise CheckpointError(f"{run.name} has not looked for suspicious labels: start it with classify --suspects")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(SUSPECT_COLUMNS)
    for one, text in found.suspects:
        shares = (f"{share:.6f}" for share in (one.probability, one.suggested_probability))
        writer.writerow([*one.place, found.classes[one.label], found.classes[one.suggested], *shares, text])
    return table.getvalue()
