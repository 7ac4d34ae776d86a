"""What a classification hands to other programs: a trained classifier as a folder, its suspicious labels as a table."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from checkpoints import arrays
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.classify import results
from engine.classify.predict import Classifier
from engine.classify.runs import spec_of
from engine.classify.spec import FINETUNE, LR, MLP, ClassifySpec
from engine.comparison.model_card import ModelCard
from engine.comparison.results import TUNED, UNREADABLE, has_tuned
from engine.encoders import fine_tune
from engine.markdown import without_folder
from engine.model_folder import RECORD, exported, present, size, write_json
from engine.runs import codec, owner
from engine.runs.events import EncodingDone
from engine.tokenization.encoding import BackedTokenizer

SUSPECT_COLUMNS = ("file", "row", "label", "suggested", "probability", "suggested_probability", "text")
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


def methods(run: Run) -> list[str]:
    """What :func:`export` can write: the fine-tuned encoder first, then the heads, the best on validation first."""
    reports, about = run.read_json("results.json"), run.read_json("classifier.json")
    scores: dict[str, float] = {}
    for head in (LR, MLP):
        try:
            if head in about["heads"]:
                scores[head] = float(reports[head]["validation_accuracy"])
        except UNREADABLE:
            continue
    return [FINETUNE] * has_tuned(run) + sorted(scores, key=lambda head: -scores[head])


def export(run: Run, folder: Path, *, method: str = "", force: bool = False) -> tuple[str, int]:
    """Write a trained classifier into ``folder``, see :func:`engine.model_folder.exported`; its method and its bytes.

    ``method`` is one of :func:`methods`, the first of them if it is empty. The fine-tuned encoder is a folder that
    ``transformers`` loads. A head is ``config.json`` with labels and pooling, ``model.safetensors`` with its arrays,
    and its encoder in ``encoder/``. Both have a ``README.md`` that shows how to use them, with data, figures and
    settings. Raises :class:`checkpoints.store.CheckpointError`, :class:`engine.encoders.find.NoEncoder` and
    :class:`OSError`.
    """
    there = methods(run)
    method = method or (there[0] if there else "")
    if method not in there:
        has = f"it has {', '.join(there)}" if there else "it has none: start it with --head lr, mlp or finetune"
        raise CheckpointError(f"{run.name} has no trained {method or 'classifier'} to export; {has}")
    source = f"{run.name}/{method}"
    held = str(Run(folder).read_json(RECORD).get("source", "")) if folder.is_dir() else ""
    if not force and held.partition("/")[0] == run.name and (held.partition("/")[2] or FINETUNE) != method:
        raise CheckpointError(f"{folder} holds {held}: choose another folder for {method} (export --force overwrites)")
    spec = spec_of(run)
    with exported(folder, source, force=force) as temporary:
        if method == FINETUNE:
            shutil.copytree(present(run.path / TUNED), temporary, dirs_exist_ok=True)
            longest = Run(temporary).read_json("tokenizer_config.json").get("model_max_length", spec.length)
            pooling, length = spec.pooling, min(spec.length, int(longest))
        else:
            pooling, length = _write_head(run, method, temporary)
        _card(run, method, _code(method, pooling, length)).write(run, spec, temporary)
        return method, size(temporary)


def suspects_csv(run: Run) -> str:
    """Training rows whose label is probably wrong, the most probable first, as CSV with a header.

    ``row`` counts the rows of ``file`` from 1, see :class:`data.formats.Row`. Raises
    :class:`checkpoints.store.CheckpointError`, also when the run did not look for them.
    """
    if another := owner.another_task(run, ClassifySpec.task, "suspicious labels"):
        raise CheckpointError(another)
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


def _card(run: Run, method: str, code: str) -> ModelCard:
    checks = run.read_json("checks.json")
    counts: dict[str, Any] = checks.get("checks", {}).get("counts", {})
    encoding = (run.read_json(results.Store.ABOUT).get("encoder") or {}).get("encoding")
    costs = [codec.decode(EncodingDone, encoding)] if encoding and method != FINETUNE else []
    return ModelCard(
        _METHODS[method],
        {"pipeline_tag": "text-classification", "library_name": "transformers"},
        code,
        data=(
            ("rows", [f"{sum(of):,} {split}" for split, of in counts.items()]),
            ("labels", run.read_json("classifier.json").get("classes", ())),
            ("repairs", checks.get("repairs", ())),
            ("cost", [str(replace(one, encoder=without_folder(one.encoder))) for one in costs]),
        ),
        judged="the test split, on which nothing was trained or chosen",
        method=method,
        columns={
            "accuracy": "accuracy",
            "interval": "95% interval",
            "rows": "n",
            "accuracy_without_leaks": "without texts that are also in train",
            "macro_f1": "macro F1",
            "log_loss": "log loss",
            "spread": "spread over seeds",
            "seconds": "seconds",
            "settings": "settings",
        },
    )


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


def _write_head(run: Run, method: str, folder: Path) -> tuple[str, int]:
    """Write head, labels and encoder; returns pooling and length in tokens."""
    classifier = Classifier(run)
    if method in classifier.unreadable:
        raise CheckpointError(f"{run.name}: {method} cannot be read ({classifier.unreadable[method]})")
    encoder = classifier.encoder()
    length = min(classifier.length, encoder.positions)
    head = classifier.heads[method]
    (folder / "model.safetensors").write_bytes(arrays.encode(head.arrays()))
    config = {
        "method": method,
        "settings": head.settings,
        "pooling": classifier.pooling,
        "max_length": length,
        "encoder": encoder.name if not Path(encoder.name).is_absolute() else Path(encoder.name).name,
        "encoder_sha256": encoder.identity,
        "id2label": dict(enumerate(classifier.classes)),
        "label2id": {name: index for index, name in enumerate(classifier.classes)},
    }
    write_json(folder / "config.json", config)
    if not isinstance(encoder.tokenizer, BackedTokenizer):
        raise CheckpointError(f"{encoder.name} has a tokenizer that transformers cannot load")
    fine_tune.save_model(encoder, encoder.open(), folder / "encoder")
    return classifier.pooling, length
