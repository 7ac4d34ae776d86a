"""Records every figure that the program computes, and compares two recordings to the last digit.

    python tests/figures.py record before.json       # at one commit
    python tests/figures.py record after.json        # at another
    python tests/figures.py compare before.json after.json

A move of code must not change a loss, a score, a token or a weight. Each command below runs in a home of its own; the
recording holds the events on stdout, every JSON file of the run directory and the SHA-256 of every tensor in it,
without times, paths and what depends on the machine. Small sets that come with the program are always used; the real
sets of a folder given by ``--data`` are added to them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parent.parent
MEASURED = ("second", "time", "stall", "memory", "peak", "path", "created", "commit", "speed", "host", "latency")
"""parts of field names whose values differ from one execution to the next"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("train --corpus dantesque --preset nano --steps 60 --evaluate-every 20 --sample-every 30 --threads 1",),
    "karpathy": (
        "train --corpus dantesque --preset karpathy --layers 2 --heads 2 --width 96 --context 32 --batch 8 --steps 20 "
        "--evaluate-every 10 --sample-every 10 --threads 1",
        "export latest EXPORTED",
        "sample latest --length 80",
    ),
    "classify": ("classify --limit 80 --head lr --head mlp --head finetune --epochs 1 --suspects --curve --length 32",),
    "choose": (
        "choose --limit 24 --method margin --method cross-entropy --method zero-shot --method finetune --epochs 1 "
        "--seeds 2 --length 32",
    ),
    "retrieve": ("retrieve --length 48",),
    "retrieve-whole": ("retrieve --length 32 --method bm25 --method mean --method trained --train whole --epochs 1",),
    "generate": ("generate Nel --model bundled --max-new-tokens 60 --score-prompt --n 2",),
    "sweep": ("sweep Nel --model bundled --max-new-tokens 40",),
    "tokenize": ("tokenize Nel_mezzo_del_cammin --tokenizer gpt2 --tokenizer wordpiece --tokenizer bundled",),
}
REAL: dict[str, tuple[str, ...]] = {
    "inferno": ("train --corpus DATA/inferno.txt --preset nano --steps 40 --evaluate-every 20 --threads 1",),
    "emotion": ("classify --data DATA/emotion --limit 200 --pooling all --length 32",),
    "ag_news": ("classify --data DATA/ag_news_7600 --limit 200 --length 32",),
    "commonsense_qa": ("choose --data DATA/commonsense_qa --limit 60 --seeds 2 --length 32",),
    "scifact": ("retrieve --data DATA/scifact_2k --length 16",),
}
UNSTRUCTURED = ("export", "sample")
BY_THE_CLOCK = ("progress", "estimated", "saved", "encoded", "sample_text")
"""events whose number or place depends on the time"""
_CREATED = re.compile(r"\d{8}-\d{6}-")  # begins the name of a run directory


def record(data: Path | None) -> dict[str, Any]:
    """Every figure of every command, under the command's name."""
    commands = COMMANDS | (REAL if data else {})
    recorded = {}
    for name, lines in commands.items():
        with tempfile.TemporaryDirectory() as home:
            found: list[Any] = []
            for line in lines:
                arguments = [
                    word.replace("DATA", str(data)).replace("EXPORTED", f"{home}/exported") for word in line.split()
                ]
                found.append(_run(arguments, Path(home)))
            recorded[name] = {"output": found, "files": _files(Path(home))}
        print(f"{name}: {len(recorded[name]['files'])} files", file=sys.stderr)
    return recorded


def _run(arguments: list[str], home: Path) -> list[Any]:
    module = "llmlab_tui" if (PROJECT / "llmlab_tui").is_dir() else "tui"
    structured = arguments[0] not in UNSTRUCTURED
    environment = {**os.environ, "LLMLAB_HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments, *(["--json"] if structured else [])],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    if not structured:
        return [] if arguments[0] == "export" else [done.stdout]
    events = [json.loads(line) for line in done.stdout.splitlines()]
    samples = "".join(event["text"] for event in events if event.get("event") == "sample_text")
    return [*(_figures(event) for event in events if not _by_the_clock(event)), samples]


def _by_the_clock(event: dict[str, Any]) -> bool:
    """Whether an event's number or place depends on the time, as of the losses on the way through a long epoch."""
    within = event.get("event") == "contender_step" and event.get("held_out_score") is None
    return event.get("event") in BY_THE_CLOCK or (within and event["contender"] in ("finetune", "trained"))


def _files(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    last = {path.parent: path for path in sorted(home.rglob("checkpoints/step-*"))}  # others are saved by the clock
    for path in sorted(home.rglob("*")):
        if any(part.name.startswith("step-") and last.get(part.parent, part) != part for part in path.parents):
            continue
        name = "/".join(part for part in path.relative_to(home).parts if not _CREATED.match(part))
        if path.suffix == ".safetensors" and "cache" not in name:
            found[name] = _tensors(path)
        elif path.suffix == ".json" and path.name not in ("env.json", "state.json") and "cache" not in name:
            found[name] = _figures(json.loads(path.read_bytes()))
        elif path.name == "state.json":
            found[name] = _figures(json.loads(path.read_bytes()).get("position"))
    return found


def _tensors(path: Path) -> dict[str, str]:
    from safetensors.torch import load_file

    return {
        name: f"{tuple(tensor.shape)} {hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]}"
        for name, tensor in load_file(path).items()
    }


def _figures(value: Any) -> Any:
    """``value`` without what is measured or names this machine."""
    if isinstance(value, dict):
        return {
            name: _figures(entry)
            for name, entry in value.items()
            if not any(part in name for part in MEASURED)
            and name not in ("run", "files", "weights", "source", "created", "checksum")
        }
    return [_figures(entry) for entry in value] if isinstance(value, list) else value


def _differences(before: Any, after: Any, where: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted({*before, *after})
        return [
            line
            for name in names
            for line in (
                _differences(before[name], after[name], f"{where}/{name}")
                if name in before and name in after
                else [f"{where}/{name}: only {'before' if name in before else 'after'}"]
            )
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for index, (one, two) in pairs for line in _differences(one, two, f"{where}/{index}")]
    return [] if before == after else [f"{where}: {str(before)[:120]} before, {str(after)[:120]} after"]


def main() -> int:
    """Record or compare; the exit code of a comparison says whether all figures are equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("file", type=Path)
    recording.add_argument(
        "--data", type=Path, help="folder with inferno.txt, emotion, ag_news_7600, commonsense_qa, scifact_2k"
    )
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        given.file.write_text(json.dumps(record(given.data), indent=1))
        return 0
    found = _differences(json.loads(given.before.read_bytes()), json.loads(given.after.read_bytes()))
    print("\n".join(found[:100]) or "all figures are equal")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
