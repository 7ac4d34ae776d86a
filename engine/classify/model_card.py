"""The README of an exported classifier: lines of Python that use it, data, figures and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.classify import results
from engine.classify.runs import spec_of
from engine.classify.spec import FINETUNE, LR, MLP, ClassifySpec
from engine.runs import codec
from engine.runs.events import EncodingDone

_METHODS = {
    LR: "Logistic regression on features of a frozen encoder",
    MLP: "An MLP with one hidden layer on features of a frozen encoder",
    FINETUNE: "A fine-tuned encoder with a classification head",
}
_POOLED = {
    "cls": "layers[-1][0]",
    "mean": "layers[-1].mean(0)",
    "max": "layers[-1].amax(0)",
    "last": "layers[-1][-1]",
    "last4": "torch.cat([layer.mean(0) for layer in layers[1:][-4:]])",
    "all": "torch.cat([layers[-1][0], layers[-1][-1], layers[-1].amax(0), *(layer.mean(0) for layer in layers)])",
}
"""the features of one text in Python; ``layers``: hidden states ``(tokens, width)``, the embeddings first"""

_TUNED = """\
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

folder, texts = ".", ["a text", "another text"]
tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
tokens = tokenizer(texts, padding=True, truncation=True, max_length={length}, return_tensors="pt")
with torch.inference_mode():
    logits = model(input_ids=tokens.input_ids, attention_mask=tokens.attention_mask).logits
probabilities = logits.softmax(1)
print([model.config.id2label[label] for label in probabilities.argmax(1).tolist()])
"""
_HEAD = """\
import json
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder, texts = ".", ["a text", "another text"]
labels, head = json.load(open(f"{{folder}}/config.json"))["id2label"], load_file(f"{{folder}}/model.safetensors")
tokenizer = AutoTokenizer.from_pretrained(f"{{folder}}/encoder")
encoder = AutoModel.from_pretrained(f"{{folder}}/encoder")

def classify(text):
    ids = tokenizer(text, truncation=True, max_length={length}, return_tensors="pt").input_ids
    with torch.inference_mode():
        layers = [layer[0] for layer in encoder(input_ids=ids, output_hidden_states=True).hidden_states]
    features = ({pooled} - head["mean"]) / head["scale"]
{hidden}    return ({last} @ head["layer.{number}.weight"] + head["layer.{number}.bias"]).softmax(0)

probabilities = torch.stack([classify(text) for text in texts])
print([labels[str(label)] for label in probabilities.argmax(1).tolist()])
"""
_HIDDEN = '    hidden = torch.nn.functional.gelu(features @ head["layer.0.weight"] + head["layer.0.bias"])\n'


def model_card(run: Run, method: str, *, pooling: str, length: int) -> str:
    """Markdown with one block of Python, which is to be run in the exported folder.

    Figures are left out where the run has none that can be read. Raises what :func:`spec_of` raises.
    """
    spec = spec_of(run)
    lines = [
        "---",
        "pipeline_tag: text-classification",
        "library_name: transformers",
        "---",
        f"# {_METHODS[method]}",
        "",
        f"Exported by llmlab-tui from the run {_inline(run.name)}. In this folder:",
        "",
        "```python",
        _code(method, pooling, length) + "```",
        "",
        "## Data",
        "",
        f"- data set: {_inline(_without_folder(spec.data))}",
    ]
    try:
        found = results.read(run)
    except CheckpointError:
        lines.append("- the figures of the run cannot be read")
    else:
        lines += [*_data(found), "", "## Figures", "", *_figures(found, method)]
        encoding = (run.read_json(results.Store.ABOUT)["encoder"] or {}).get("encoding")
        if encoding and method != FINETUNE:
            done = codec.decode(EncodingDone, encoding)
            lines += ["", _inline(str(replace(done, encoder=_without_folder(done.encoder))))]
    lines += ["", "## Settings", "", "```json", json.dumps(_settings(spec), indent=1), "```", ""]
    return "\n".join(lines)


def _code(method: str, pooling: str, length: int) -> str:
    if method == FINETUNE:
        return _TUNED.format(length=length)
    hidden = method == MLP
    return _HEAD.format(
        length=length,
        pooled=_POOLED[pooling],
        hidden=_HIDDEN if hidden else "",
        last="hidden" if hidden else "features",
        number=int(hidden),
    )


def _data(found: results.ClassifyResults) -> list[str]:
    counts: Mapping[str, Any] = found.checks.get("checks", {}).get("counts", {})
    rows = ", ".join(f"{sum(of):,} {_inline(split)}" for split, of in counts.items())
    lines = [f"- rows: {rows or len(found.texts)}", f"- labels: {', '.join(map(_inline, found.classes))}"]
    return lines + [f"- {_inline(line)}" for line in found.checks.get("repairs", ())]


def _figures(found: results.ClassifyResults, method: str) -> list[str]:
    """A table of every method on the test split, the exported one in bold."""
    lines = [
        f"On the {len(found.texts):,} texts of the test split, on which nothing was trained or chosen:",
        "",
        "| method | accuracy | 95% interval | macro F1 | log loss | seconds | settings |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, report in found.reports.items():
        low, high = report.interval
        shown = f"**{name}**" if name == method else name
        spread = f" ± {report.spread:.4f} ({len(report.seeds)} seeds)" if report.spread is not None else ""
        lines.append(
            f"| {shown} | {report.accuracy:.4f}{spread} | {low:.4f} to {high:.4f} | {report.macro_f1:.4f} | "
            f"{report.log_loss:.4f} | {report.seconds:.1f} | {_inline(report.settings)} |"
        )
    leaks = {report.accuracy_without_leaks for name, report in found.reports.items() if name == method} - {None}
    return lines + [f"\nWithout the test texts that are also in train: {accuracy:.4f}" for accuracy in leaks]


def _settings(spec: ClassifySpec) -> dict[str, Any]:
    """Every field of the spec, without the folders of the machine that it ran on."""
    values = {entry.name: getattr(spec, entry.name) for entry in fields(spec)}
    return {name: _without_folder(value) if isinstance(value, str) else value for name, value in values.items()}


def _without_folder(name: str) -> str:
    return Path(name).name if Path(name).is_absolute() else name


def _inline(text: str) -> str:
    """Text of users and data as a piece of code in a line: it can end neither the code, nor the line, nor a cell."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in text)
    return "`" + (shown.replace("`", "'").replace("|", "/").strip() or "·") + "`"
