"""Data sets in the layouts that they have on the Hub, with made-up rows, for its stand-in."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import datasets
import pyarrow.parquet
from hub_server import StandIn

TEXT = datasets.Value("string")
LABELS = {"emotion": ["sadness", "joy", "anger"], "ag_news": ["World", "Sports"]}


def parquet(
    rows: list[dict[str, Any]], kinds: datasets.Features | None = None, *, described: bool = True, group: int = 1000
) -> bytes:
    """A file as the Hub's library writes it; without what it is ``described`` by, as others do."""
    table, made = datasets.Dataset.from_list(rows, kinds).data.table.combine_chunks(), io.BytesIO()
    table = table if described else table.replace_schema_metadata()
    pyarrow.parquet.write_table(table, made, row_group_size=group)
    return made.getvalue()


def readme(configs: dict[str, dict[str, str]], default: str = "", labels: dict[str, list[str]] | None = None) -> bytes:
    """A README with the configurations: split to pattern."""
    lines = ["---", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        lines += [line for split, path in splits.items() for line in (f"  - split: {split}", f"    path: {path}")]
        lines += ["  default: true"] if name == default else []
    for name in configs if labels else ():
        lines += ["dataset_info:", f"  config_name: {name}", "  features:"]
        lines += ["  - name: text", "    dtype: string"]
        for column, names in (labels or {}).items():
            lines += [f"  - name: {column}", "    dtype:", "      class_label:", "        names:"]
            lines += [f"          '{number}': {name}" for number, name in enumerate(names)]
        break
    return "\n".join([*lines, "---", "# A data set", ""]).encode()


def labelled(count: int, names: list[str], words: str = "a text of") -> tuple[list[dict[str, Any]], datasets.Features]:
    kinds = datasets.Features({"text": TEXT, "label": datasets.ClassLabel(names=names)})
    return [{"text": f"{words} {row} {row * 7919 % 10007}", "label": row % len(names)} for row in range(count)], kinds


def emotion(hub: StandIn) -> None:
    rows, kinds = labelled(40, LABELS["emotion"])
    configs = {name: {"train": f"{name}/train-*", "test": f"{name}/test-*"} for name in ("split", "unsplit")}
    files = {"README.md": readme(configs, "split", {"label": LABELS["emotion"]})}
    files["split/train-00000-of-00002.parquet"] = parquet(rows[:25], kinds, described=False)
    files["split/train-00001-of-00002.parquet"] = parquet(rows[25:], kinds, described=False)
    files["split/test-00000-of-00001.parquet"] = parquet(rows[:12], kinds, described=False)
    files["unsplit/train-00000-of-00001.parquet"] = parquet(rows[:3], kinds, described=False)
    hub.publish("datasets/dair-ai/emotion", files)


def ag_news(hub: StandIn, count: int = 30, group: int = 1000) -> None:
    rows, kinds = labelled(count, LABELS["ag_news"], "news " + "of the world " * 9)
    files = {"README.md": readme({"default": {"train": "data/train-*", "test": "data/test-*"}})}
    files["data/train-00000-of-00001.parquet"] = parquet(rows, kinds, group=group)
    files["data/test-00000-of-00001.parquet"] = parquet(rows[:20], kinds)
    hub.publish("datasets/fancyzhx/ag_news", files)


def commonsense_qa(hub: StandIn) -> None:
    kinds = datasets.Features(
        {
            "id": TEXT,
            "question": TEXT,
            "question_concept": TEXT,
            "choices": {"label": datasets.Sequence(TEXT), "text": datasets.Sequence(TEXT)},
            "answerKey": TEXT,
        }
    )
    rows = [
        {
            "id": str(row),
            "question": f"Where is it the {row}th time?",
            "question_concept": "time",
            "choices": {"label": list("ABCDE"), "text": [f"{place} {row}" for place in ("at", "in", "on", "by", "up")]},
            "answerKey": "ABCDE"[row % 5],
        }
        for row in range(30)
    ]
    files = {"README.md": readme({"default": {name: f"data/{name}-*" for name in ("train", "validation", "test")}})}
    files["data/train-00000-of-00001.parquet"] = parquet(rows, kinds)
    files["data/validation-00000-of-00001.parquet"] = parquet(rows[:20], kinds)
    files["data/test-00000-of-00001.parquet"] = parquet([{**row, "answerKey": ""} for row in rows], kinds)
    hub.publish("datasets/tau/commonsense_qa", files)


def swag(hub: StandIn) -> None:
    columns = (
        "video-id",
        "fold-ind",
        "startphrase",
        "sent1",
        "sent2",
        "gold-source",
        *(f"ending{n}" for n in range(4)),
    )
    kinds = datasets.Features(
        {**dict.fromkeys(columns, TEXT), "label": datasets.ClassLabel(names=["0", "1", "2", "3"])}
    )
    rows = [{**{name: f"{name} {row}" for name in columns}, "label": row % 4} for row in range(40)]
    configs = {name: {split: f"{name}/{split}-*" for split in ("train", "validation")} for name in ("regular", "full")}
    files = {"README.md": readme(configs)}
    for place, pattern in enumerate(path for splits in configs.values() for path in splits.values()):
        files[pattern.replace("*", "00000-of-00001.parquet")] = parquet(rows[place * 10 : place * 10 + 10], kinds)
    hub.publish("datasets/allenai/swag", files)


def scifact(hub: StandIn) -> None:
    words = [f"{first}{second}" for first in ("alpha", "beta", "gamma") for second in ("cell", "gene", "drug", "bone")]
    documents = [{"_id": str(row), "title": f"On {word}", "text": "A text."} for row, word in enumerate(words)]
    queries = [{"_id": str(row), "title": "", "text": f"what is {word}"} for row, word in enumerate(words[:8])]
    configs = {name: {name: f"{name}/{name}-*"} for name in ("corpus", "queries")}
    files = {"README.md": readme(configs)}
    files["corpus/corpus-00000-of-00001.parquet"] = parquet(documents)
    files["queries/queries-00000-of-00001.parquet"] = parquet(queries)
    hub.publish("datasets/BeIR/scifact", files)
    lines = ["query-id\tcorpus-id\tscore", *(f"{row}\t{row}\t1" for row in range(8))]
    splits = {"test.tsv": "\n".join(lines[:5]).encode(), "train.tsv": "\n".join(lines[:1] + lines[5:]).encode()}
    hub.publish("datasets/BeIR/scifact-qrels", {"README.md": b"---\nlicense: mit\n---\n", **splits})


LAYOUTS: dict[str, Callable[[StandIn], None]] = {
    "dair-ai/emotion": emotion,
    "fancyzhx/ag_news": ag_news,
    "tau/commonsense_qa": commonsense_qa,
    "allenai/swag:regular": swag,
    "BeIR/scifact:corpus": scifact,
    "BeIR/scifact-qrels": scifact,
}
