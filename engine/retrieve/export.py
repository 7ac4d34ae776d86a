"""What others can use of a run: the bi-encoder as a folder for sentence-transformers, and rankings for trec_eval.

The bi-encoder's ``encode`` in sentence-transformers gives the vectors that are used here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from checkpoints import arrays
from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data.beir import BeirError
from engine.comparison.model_card import ModelCard
from engine.encoders import find as encoders
from engine.encoders import sentence
from engine.encoders.find import Encoder
from engine.encoders.sentence import SentenceLayout, Step
from engine.model_folder import exported, size, write_tokenizer
from engine.retrieve import results as retrieve_results
from engine.retrieve.metrics import MAP, MRR, NDCG, RECALL
from engine.retrieve.results import PROJECTION, WHOLE
from engine.retrieve.runs import spec_of
from engine.retrieve.spec import TRAINED, load_collection
from engine.runs.messages import Control, finish
from engine.tokenization.encoding import BackedTokenizer

_USE = """
from sentence_transformers import SentenceTransformer

model, queries, documents = SentenceTransformer("."), ["a query"], ["a text", "another text"]
scores = model.encode(queries) @ model.encode(documents).T
print(documents[scores[0].argmax()])
"""


def methods(run: Run) -> list[str]:
    """What :func:`export` can write."""
    return [TRAINED] if retrieve_results.checkpoint(run) is not None else []


def export(run: Run, folder: Path, *, method: str = "", force: bool = False) -> tuple[str, int]:
    """Write the bi-encoder of ``run`` into ``folder``, see :func:`engine.model_folder.exported`; its method and bytes.

    Raises :class:`checkpoints.store.CheckpointError`, :class:`engine.encoders.find.NoEncoder`, :class:`OSError`.
    """
    spec, found = spec_of(run), retrieve_results.checkpoint(run)
    if found is None:
        raise CheckpointError(f"{run.name} has trained no bi-encoder")
    encoder = finish(encoders.find(str(run.read_json("encoder.json").get("name") or spec.encoders[0]), Control()))
    weights = (found.path / WHOLE,) if found.whole else encoder.weights
    projection = None if found.whole else arrays.read(found.path / PROJECTION)["weight"]
    with exported(folder, run.name, force=force) as temporary:
        write(encoder, weights, projection, spec.length, temporary)
        _card(run).write(run, spec, temporary)
        return TRAINED, size(temporary)


def _card(run: Run) -> ModelCard:
    about = run.read_json("collection.json")
    queries = f"{len(about.get('queries', ())):,} {about.get('split', '')} queries"
    return ModelCard(
        "A bi-encoder that was trained to find documents for queries",
        {"pipeline_tag": "sentence-similarity", "library_name": "sentence-transformers"},
        _USE,
        data=(
            ("documents and judged queries", [f"{about.get('documents', 0):,} documents", queries]),
            ("repairs", about.get("repairs", ())),
        ),
        judged=f"the {queries}",
        method=TRAINED,
        columns={
            NDCG: "nDCG@10",
            "interval": "95% interval",
            RECALL: "recall@100",
            MRR: "MRR@10",
            MAP: "MAP@100",
            "queries": "n",
        },
    )


def write(encoder: Encoder, weights: tuple[Path, ...], projection: Any, length: int, folder: Path) -> None:
    """Transformer, pooling and layers of its layout, ``projection`` ``(width, width)`` or none, normalising.

    Raises :class:`OSError`.
    """
    from dataclasses import replace

    from safetensors.torch import save_file as save_tensors

    if not isinstance(encoder.tokenizer, BackedTokenizer):
        raise CheckpointError(f"{encoder.name} has a tokenizer that transformers cannot load")
    model = replace(encoder, weights=weights).open()
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {name: part.contiguous() for name, part in model.state_dict().items()}
    save_tensors(tensors, folder / WHOLE, metadata={"format": "pt"})
    length = min(length, encoder.positions)
    write_tokenizer(encoder.tokenizer, folder, length, None)
    layout = replace(encoder.sentence or SentenceLayout(), length=length, transformer="")
    steps = layout.steps if projection is None else (*layout.steps, Step(projection))
    if not steps or steps[-1].weight is not None:
        steps = (*steps, Step())
    sentence.write(replace(layout, steps=steps), folder, encoder.width)


def write_trec(run: Run, file: Path) -> list[Path]:
    """Write the rankings of the judged methods as TREC run files, which trec_eval reads; returns the files.

    ``file`` is that of a single method; of several each has a file of its own, with its name before the suffix. Lines
    are query id, Q0, document id, rank from 1, score, method. Scores fall from line to line, equal ones by the least
    that float32 can hold, since trec_eval ranks by them. A query without a document has no line.
    Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`.
    """
    spec, found = spec_of(run), retrieve_results.read(run)
    if not found.judged:
        raise CheckpointError(f"{run.name} has no rankings")
    try:
        collection = finish(load_collection(spec, lambda: iter(())))
    except BeirError as error:
        raise CheckpointError(str(error)) from None
    if collection.fingerprint != found.fingerprint:
        raise CheckpointError(f"{spec.data} has changed since {run.name} ranked its documents")
    for name in (*found.queries, *collection.ids):
        if name.split() != [name]:
            raise CheckpointError(f"the id {name!r} has spaces: no TREC run file can hold it")
    written = []
    for method, judged in found.judged.items():
        lines = []
        for query, ranked in zip(found.queries, judged.rankings, strict=True):
            for rank, (row, score) in enumerate(zip(ranked.rows, _falling(ranked.scores), strict=True), 1):
                lines.append(f"{query} Q0 {collection.ids[row]} {rank} {score:.9g} {method}\n")
        target = file if len(found.judged) == 1 else file.with_name(f"{file.stem}.{method}{file.suffix}")
        target.write_text("".join(lines), "utf-8", "backslashreplace")
        written.append(target)
    return written


def _falling(scores: Sequence[float]) -> Iterator[float]:
    """Scores of a ranking as float32, each less than the one before."""
    import numpy as np

    least = np.float32(np.inf)
    for score in scores:
        least = min(np.float32(score), np.nextafter(least, np.float32(-np.inf)))
        yield float(least)
