"""A comparison as a Markdown file: for people a table and the texts, for programs one TOML block to repeat it from."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints import home
from checkpoints.run import slug
from checkpoints.store import replace_file
from engine.lm.sampling import Sampling
from engine.lm.sweep import SETTINGS, Comparison, Setting
from engine.runs import codec
from engine.runs.events import Compared
from engine.runs.spec import BadSpec, Problem
from engine.tokenization.encoding import repaired

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel

_BLOCK = re.compile(r"^(`{3,})toml\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Record:
    """What a file holds: enough to run it again, and to tell whether the same came out."""

    model: str
    """the name to load the model by"""
    fingerprint: str
    """SHA-256 of its weights"""
    comparison: Comparison
    texts: tuple[str, ...]
    """one for each setting that was run"""


def save(lm: LanguageModel, comparison: Comparison, results: Sequence[Compared], folder: Path | None = None) -> Path:
    """Write the file atomically under ``sweeps`` and return its path. Raises :class:`OSError`."""
    folder = folder or home.home() / "sweeps"
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(Path(lm.name).name)}"
    path = folder / f"{stem}.md"
    number = 2
    while path.exists():
        path, number = folder / f"{stem}-{number}.md", number + 1
    replace_file(path, write(lm, comparison, results).encode())
    return path


def write(lm: LanguageModel, comparison: Comparison, results: Sequence[Compared]) -> str:
    """The Markdown. No text of the user or the model begins a line before the TOML block, so none can pose as it."""
    lines = [
        "# Comparison of sampling settings",
        "",
        f"- model: {_inline(lm.name)}, {_inline(lm.source)}",
        f"- {lm.parameters:,} parameters, {lm.precision} on {lm.device}",
        "",
        "| setting | tokens | repetition rate | distinct-2 | mean log-probability | tokens/s | ended |",
        "|---|--:|--:|--:|--:|--:|---|",
        *(_row(result) for result in results),
        "",
        "Repetition rate: share of tokens in a run of four that stood earlier in the completion. distinct-2: different",
        "pairs of neighbours over all pairs. Mean log-probability: under the model itself, nats a token.",
        "",
        "## To run it again",
        "",
        "`llmlab-tui sweep --from FILE` reads this block; its texts are exact. In those below, control characters are",
        "shown as pictures.",
        "",
        _fenced(_toml(lm, comparison, results), "toml"),
        "",
        "## Prompt",
        "",
        _fenced(_shown(comparison.prompt)),
    ]
    for result in results:
        lines += ["", f"## {_inline(result.name)}", "", _fenced(_shown(result.text))]
    return "\n".join(lines) + "\n"


def read(path: Path) -> Record:
    """The record that a file holds. Raises :class:`engine.runs.spec.BadSpec` when it is none, and :class:`OSError`."""
    found = _BLOCK.search(path.read_text("utf-8", "replace"))
    if found is None:
        raise BadSpec([Problem("", f"{path} holds no TOML block, so it is no saved comparison")])
    try:
        content = tomllib.loads(found[2])
        settings = [Setting(str(entry["name"]), codec.decode(Sampling, entry)) for entry in content["setting"]]
        ids = content.get("ids")
        comparison = Comparison(str(content["prompt"]), tuple(settings), tuple(ids) if ids is not None else None)
        texts = tuple(str(entry["text"]) for entry in content["setting"] if "text" in entry)
        record = Record(str(content["model"]), str(content.get("fingerprint", "")), comparison, texts)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise BadSpec([Problem("", f"{path}: its TOML block is damaged ({error})")]) from None
    comparison.check()
    return record


def _toml(lm: LanguageModel, comparison: Comparison, results: Sequence[Compared]) -> str:
    import torch

    where = Path(os.path.expanduser(lm.name))
    name = str(where.absolute()) if (where / "config.json").is_file() else lm.name
    top: dict[str, Any] = {
        "model": name,
        "source": lm.source,
        "fingerprint": lm.fingerprint(),
        "precision": lm.precision,
        "device": str(lm.device),
        "torch": torch.__version__,
        "made": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "prompt": comparison.prompt,
    }
    if comparison.ids is not None:
        top["ids"] = list(comparison.ids)
    lines = [f"{key} = {_value(value)}" for key, value in top.items()]
    told = {result.stream: result for result in results}
    for stream, setting in enumerate(comparison.settings):
        lines += ["", "[[setting]]", f"name = {_value(setting.name)}"]
        lines += [f"{key} = {_value(getattr(setting.sampling, key))}" for key in SETTINGS]
        if stream in told:
            lines += [f"reason = {_value(told[stream].reason)}", f"text = {_value(told[stream].text)}"]
    return "\n".join(lines)


def _value(value: Any) -> str:
    """A TOML value. What JSON leaves as it is and a terminal could act on is escaped too."""
    if isinstance(value, str):
        text = json.dumps(repaired(value), ensure_ascii=False)
        return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return json.dumps(value)


def _row(result: Compared) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    figures = (result.repetition_rate, result.distinct_2, result.mean_logprob)
    cells = [_inline(result.name), str(result.tokens), *map(number, figures)]
    return "| " + " | ".join([*cells, f"{result.tokens_per_second:.1f}", result.reason]) + " |"


def _fenced(text: str, language: str = "") -> str:
    """A code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _shown(text: str) -> str:
    return _CONTROL.sub(lambda found: chr(0x2400 + ord(found[0])) if ord(found[0]) < 32 else "·", repaired(text))


def _inline(text: str) -> str:
    """Text in one line of a Markdown table or list."""
    return re.sub(r"([\\`|*_\[\]<>#])", r"\\\1", _shown(text).replace("\n", "⏎"))
