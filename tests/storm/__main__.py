"""``python -m storm --minutes 30 --seed 1``: cycle after cycle until the time is over, then the counts."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from storm import workloads
from storm.cycle import Cycle, Storm, Violation, describe
from storm.faults import Faults
from storm.server import Server


def main() -> int:
    """Exit code 0 when everything held, 1 when something did not."""
    parser = argparse.ArgumentParser(prog="storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long")
    parser.add_argument("--cycles", type=int, default=0, help="so many cycles in place of minutes")
    parser.add_argument("--seed", type=int, default=None, help="of the first cycle; each next one has one more")
    parser.add_argument("--only", default="", help="workloads, separated by commas: train,classify,choose,retrieve …")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else int(time.time()) % 1_000_000
    folder = Path(tempfile.mkdtemp(prefix="llmlab-storm-")).resolve()
    print(f"seed {seed}, in {folder}", flush=True)
    violations = run(folder, seed, given.minutes * 60, given.cycles, given.only)
    if not violations:
        shutil.rmtree(folder)
    return 1 if violations else 0


def run(folder: Path, seed: int, seconds: float, cycles: int, only: str = "", *, gentle: bool = False) -> int:
    """Cycles from ``seed`` on, for ``seconds`` or, where given, so many ``cycles``. Returns how many had violations."""
    faults = Faults(folder)
    if faults.library is None:
        print("no C compiler or no LD_PRELOAD here: signals by the clock and damage only, no faults", flush=True)
    server = Server(faults.environment())
    try:
        storm = Storm(folder, server, faults, workloads.made(folder / "inputs"))
        storm.workloads = [one for one in storm.workloads if not only or one.name in only.split(",")]
        begun, done, violations = time.monotonic(), 0, 0
        while done < cycles if cycles else time.monotonic() - begun < seconds:
            cycle = Cycle(storm, seed + done, gentle=gentle)
            try:
                cycle.go()
            except Violation as error:
                violations += 1
                print(f"VIOLATION, seed {cycle.seed}, {cycle.workload.name}: {describe(error)}", flush=True)
                print(f"  kept: {cycle.folder}", flush=True)
            except Exception:
                violations += 1
                print(f"THE STORM ITSELF FAILED, seed {cycle.seed}, {cycle.workload.name}", flush=True)
                traceback.print_exc()
            done += 1
            storm.counts["starts"] += cycle.attempts
        report(storm, seed, done, violations, time.monotonic() - begun)
        return violations
    finally:
        server.close()


def report(storm: Storm, seed: int, cycles: int, violations: int, seconds: float) -> None:
    """Print all counts."""
    print(f"{cycles} cycles from seed {seed} on in {seconds / 60:.1f} minutes", flush=True)
    for name in sorted(storm.counts):
        print(f"  {name:<44} {storm.counts[name]:>7,}", flush=True)
    equal = sum(count for name, count in storm.counts.items() if name.startswith("equal"))
    print(f"{equal} of {cycles} equal to the bit, {violations} violations", flush=True)


if __name__ == "__main__":
    sys.exit(main())
