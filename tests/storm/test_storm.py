"""A few seconds of the storm, by calls and not by the clock, so that they go the same way each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from storm import faults, server, workloads
from storm.cycle import Cycle, Storm

pytestmark = pytest.mark.skipif(
    faults.compiler() is None, reason="needs Linux and a C compiler (cc, gcc or clang) for faults in system calls"
)


def test_runs_that_are_killed_faulted_and_damaged_come_to_what_undisturbed_ones_do(tmp_path: Path) -> None:
    held = faults.Faults(tmp_path.resolve())
    forks = server.Server(held.environment())
    try:
        storm = Storm(tmp_path.resolve(), forks, held, workloads.made(tmp_path / "inputs"), twice=False)
        by_name = {one.name: one for one in storm.workloads}
        for seed, name in ((29, "train"), (6, "retrieve")):
            Cycle(storm, seed, by_name[name], gentle=True).go()
    finally:
        forks.close()
    assert sum(count for name, count in storm.counts.items() if name.startswith("equal")) == 2
