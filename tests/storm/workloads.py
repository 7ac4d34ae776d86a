"""What is run: small inputs and specs of every task, and what an undisturbed run of each comes to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMES = frozenset({"seconds", "seconds_left", "index_seconds", "queries_per_second", "steps", "checksum"})
"""what JSON files of comparisons hold that the clock decides; ``steps`` are progress reports with times in them, and
the checksum is of them too"""
APART = frozenset({"events.jsonl", "lock", "trainer.log", "inbox", "env.json", "spec.json", "checkpoints"})
"""entries of a comparison's run directory that are no results"""
POSITION = frozenset({"seconds", "sampled_step"})
"""of a training's position: the clock, and whether the last sample came before or after the last save"""

TRAINING: dict[str, Any] = {
    "layers": 2,
    "heads": 2,
    "width": 16,
    "context": 8,
    "batch": 4,
    "warmup": 5,
    "steps": 240,
    "evaluate_every": 30,
    "sample_every": 80,
    "sample_length": 12,
    "patience": 0,
    "learning_rate": 0.2,  # so high that the best step is not the last one
    "schedule": "constant",
    "save_every": 0.2,
    "device": "cpu",
    "threads": 1,
}


@dataclass(frozen=True)
class Workload:
    """A run that takes a second or two."""

    name: str
    task: str
    spec: dict[str, Any]
    """as ``spec.json`` holds it"""


@dataclass
class Result:
    """What a run came to, as far as the clock has no part in it."""

    files: dict[str, str] = field(default_factory=dict)
    """digests by name"""
    measured: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    """loss, gradient norm and learning rate of every step in the journal"""
    evaluated: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    """entries of ``results.json``, or the position of a training"""

    def differences(self, other: Result) -> list[str]:
        """In what ``other`` is not equal to this, in words."""
        told = []
        for what in ("files", "measured", "evaluated", "figures"):
            own, others = getattr(self, what), getattr(other, what)
            missing, more = sorted(own.keys() - others.keys()), sorted(others.keys() - own.keys())
            changed = sorted(key for key in own.keys() & others.keys() if own[key] != others[key])
            for how, keys in (("missing", missing), ("not in the undisturbed run", more), ("different", changed)):
                if keys:
                    told.append(f"{what} {how}: {', '.join(map(str, keys[:6]))}{' …' * (len(keys) > 6)}")
        return told


def made(folder: Path) -> list[Workload]:
    """Write inputs into ``folder`` and return every workload."""
    import tiny
    import tinylm
    from retrieving import collection
    from workbench import make_verse

    from engine.choose.spec import METHODS, ChooseSpec
    from engine.classify.spec import ClassifySpec
    from engine.gpt import spec
    from engine.retrieve.spec import RetrieveSpec
    from engine.runs.spec import to_dict

    folder.mkdir(parents=True)
    corpus = folder / "verse.txt"
    corpus.write_text(make_verse(120), encoding="utf-8")
    encoder = str(tiny.bert(folder / "bert"))
    (folder / "lm").mkdir()
    tinylm.write_gpt2(folder / "lm", n_positions=96)
    messages = folder / "messages"
    messages.mkdir()
    for name, count, seed in (("train", 60, 0), ("validation", 30, 4), ("test", 60, 9)):
        tiny.write_csv(messages / f"{name}.csv", tiny.texts(count, seed=seed))
    asked = questions(folder / "questions.jsonl", 60)
    found = str(collection(folder / "collection", train=40))

    def training(**changes: Any) -> dict[str, Any]:
        return to_dict(spec.build({**TRAINING, "corpus": str(corpus), **changes}, preset_for_auto="nano"))

    common: dict[str, Any] = {"encoder": encoder, "device": "cpu"}
    tuned: dict[str, Any] = {**common, "learning_rate": 3e-3}
    heads = ClassifySpec(
        data=str(messages), heads=("lr", "mlp", "finetune"), suspects=True, epochs=4, length=24, **tuned
    )
    methods = ChooseSpec(data=asked, methods=METHODS, model=str(folder / "lm"), seeds=2, epochs=4, **tuned)
    ranked = RetrieveSpec(data=found, epochs=4, **tuned)
    whole = RetrieveSpec(data=found, mode="whole", epochs=4, **tuned)
    return [
        Workload("train", "train", training(preset="nano")),
        Workload("train-dropout", "train", training(preset="karpathy", learning_rate=0.05)),
        Workload("classify", "classify", to_dict(heads)),
        Workload("choose", "choose", to_dict(methods)),
        Workload("retrieve", "retrieve", to_dict(ranked)),
        Workload("retrieve-whole", "retrieve", to_dict(whole)),
    ]


def questions(path: Path, count: int) -> str:
    """Multiple-choice questions whose right choice repeats a word of the question."""
    import tiny

    words = tiny.WORDS[9:]
    rows = []
    for number in range(count):
        choices = [words[(number + step) % len(words)] for step in (1, 2, 3)][: 2 + number % 2]
        choices.insert(number % 3, words[number % len(words)])
        question = f"where is {choices[number % 3]} {tiny.WORDS[number % 7]}"
        rows.append({"question": question, "choices": choices, "answer": number % 3})
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return str(path)


def result(task: str, run: Path) -> Result:
    """What the finished run in the directory ``run`` came to."""
    return trained(run) if task == "train" else compared(run)


def trained(run: Path) -> Result:
    """Weights and optimizer of the last step and of the best one, the position, and the whole journal."""
    found = Result({}, *journal(run)[:2])
    newest = max(whole(run / "checkpoints"), default=-1)
    if newest < 0:
        return found
    position = state_of(run, newest)["position"]
    found.figures = {name: value for name, value in position.items() if name not in POSITION}
    for what, step in (("last", newest), ("best", position["best_step"])):
        for name in ("model.safetensors", "optimizer.safetensors"):
            file = checkpoint(run, step) / name
            found.files[f"{what}/{name}"] = digest(timeless(file)) if file.is_file() else "missing"
    return found


def compared(run: Path) -> Result:
    """Every file of results, and the checkpoint that a trained bi-encoder is."""
    found = Result()
    for file in sorted(run.rglob("*")):
        name = str(file.relative_to(run))
        if name.split("/")[0] in APART or file.is_dir():
            continue
        found.files[name] = digest(timeless(file)) if file.is_file() else "no file"
    found.figures = figures(run)
    step = read_json(run / "trained.json").get("step")
    if isinstance(step, int):
        for name in state_of(run, step).get("files", {}):
            file = checkpoint(run, step) / name
            found.files[f"trained/{name}"] = digest(timeless(file)) if file.is_file() else "missing"
    return found


def figures(run: Path) -> dict[str, Any]:
    """Entries of ``results.json`` without times."""
    results = read_json(run / "results.json")
    results.pop("schema", None)
    return dict(without_times(results))


def journal(run: Path) -> tuple[dict[int, tuple[Any, ...]], dict[int, tuple[Any, ...]], list[dict[str, Any]]]:
    """What the journal holds of steps and evaluations, those that were trained again forgotten; and its events."""
    steps: dict[int, tuple[Any, ...]] = {}
    evaluations: dict[int, tuple[Any, ...]] = {}
    events = list(lines(run / "events.jsonl"))
    for event in events:
        kind, step = event.get("event"), event.get("step")
        if not isinstance(step, int):
            continue
        if kind == "started":
            steps = {at: value for at, value in steps.items() if at <= step}
            evaluations = {at: value for at, value in evaluations.items() if at <= step}
        elif kind == "step":
            steps[step] = (event.get("loss"), event.get("gradient_norm"), event.get("learning_rate"))
        elif kind == "evaluated":
            names = ("val_loss", "train_loss", "best_val_loss", "best_step")
            evaluations[step] = tuple(event.get(name) for name in names)
    return steps, evaluations, events


def whole(checkpoints: Path) -> list[int]:
    """Steps of the checkpoints that are whole, read without the program's help."""
    found = []
    for folder in checkpoints.glob("step-*") if checkpoints.is_dir() else ():
        try:
            state = json.loads(content_of(folder / "state.json"))
            checksum = state.pop("checksum")
            if checksum != digest(json.dumps(state).encode()):
                raise ValueError("state.json")
            for name, facts in state["files"].items():
                content = content_of(folder / name)
                if (len(content), digest(content)) != (facts["bytes"], facts["sha256"]):
                    raise ValueError(name)
            if folder.name != f"step-{state['step']:06d}":
                raise ValueError(folder.name)
            found.append(int(state["step"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return sorted(found)


def content_of(file: Path) -> bytes:
    """Content of a regular file: reading a FIFO would wait for ever."""
    if not file.is_file():
        raise FileNotFoundError(file)
    return file.read_bytes()


def checkpoint(run: Path, step: int) -> Path:
    """The folder of a checkpoint."""
    return run / "checkpoints" / f"step-{step:06d}"


def state_of(run: Path, step: int) -> dict[str, Any]:
    """``state.json`` of a checkpoint."""
    return read_json(checkpoint(run, step) / "state.json")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none."""
    try:
        content = json.loads(path.read_bytes()) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """JSON objects, one a line; damaged lines are passed over."""
    for line in path.read_bytes().split(b"\n") if path.is_file() else ():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict):
            yield event


def timeless(file: Path) -> bytes:
    """Content of a file: of JSON without what the clock decides, of safetensors in an order that does not change."""
    content = file.read_bytes()
    try:
        if file.suffix == ".json":
            return json.dumps(without_times(json.loads(content)), sort_keys=True).encode()
        if file.suffix == ".safetensors":  # the order of its metadata is another each time
            start = 8 + int.from_bytes(content[:8], "little")
            return json.dumps(json.loads(content[8:start]), sort_keys=True).encode() + content[start:]
    except (ValueError, RecursionError):
        pass
    return content


def without_times(value: Any) -> Any:
    """JSON without the keys in ``TIMES``."""
    if isinstance(value, dict):
        return {name: without_times(inner) for name, inner in value.items() if name not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def digest(content: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(content).hexdigest()
