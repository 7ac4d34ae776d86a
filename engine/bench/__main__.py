"""``python -m engine.bench gpu``: the check of a GPU, in a checkout where no screen library is installed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.bench import gpu
from engine.bench.rows import printable
from engine.bench.setup import Setup


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 0 when nothing failed, 1 when something did, 2 for a wrong argument."""
    parts = "\n".join(f"  {name:<11} {part.about}" for name, part in gpu.PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m engine.bench",
        description="Check what is computed on a GPU against the CPU, and measure its speed.",
        epilog=f"parts:\n{parts}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=["gpu"])
    parser.add_argument("--only", nargs="+", default=[], choices=list(gpu.PARTS), metavar="PART", help="these parts")
    parser.add_argument("--device", default="auto", help="auto, cuda, cuda:N or cpu (default auto)")
    parser.add_argument("--quick", action="store_true", help="small models and few steps, to rehearse without a GPU")
    parser.add_argument("--corpus", default="dantesque", help="a text file, 'dante' or 'dantesque' (default)")
    parser.add_argument("--seconds", type=float, default=gpu.SECONDS, help="for the whole check (default %(default)g)")
    parser.add_argument("--out", type=Path, help="write everything into this file, as JSON")
    given = parser.parse_args(arguments)
    setup = Setup(given.device, given.quick, given.corpus)
    try:
        record = gpu.check(
            setup,
            only=given.only,
            seconds=given.seconds,
            out=given.out,
            say=_say,
            tell=_tell,
        )
    except OSError as error:
        parser.error(f"{given.out}: {error.strerror or error}")
    _say(json.dumps(record))
    return 1 if record["failed"] else 0


def _say(line: str) -> None:
    """Print one line of data."""
    sys.stdout.write(printable(line) + "\n")
    sys.stdout.flush()


def _tell(line: str) -> None:
    """Print one line for people."""
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
