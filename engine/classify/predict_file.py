"""Predictions for the rows of a table, written as a table: the rows as they are, with the predicted classes beside."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from data.formats import Row, TableError
from engine.classify.predict import Classifier

SUFFIXES = (".csv", ".tsv", ".jsonl")
CHUNK = 512  # rows that are classified together


def check_output(output: Path, source: Path) -> None:
    """Raises :class:`data.formats.TableError` where predictions of ``source`` cannot be written to ``output``."""
    if output.suffix.lower() not in SUFFIXES:
        raise TableError(f"{output.name}: predictions are written as {', '.join(SUFFIXES)}")
    if output.exists() and output.samefile(source):
        raise TableError(f"{output} is the input: choose another file for the output")


def predict_file(classifier: Classifier, rows: Sequence[Row], column: str, output: Path) -> Iterator[int]:
    """Write ``rows`` with predictions into ``output``, by its suffix; yields how many are done.

    A CSV or TSV gets ``predicted_METHOD`` and ``probability_METHOD`` (of that class); JSON lines get ``predictions``
    with the probabilities of all classes. A row without a text stays without prediction. ``output`` is replaced at the
    end as a whole. Raises :class:`OSError` and what :meth:`Classifier.predict` raises.
    """
    temporary = output.with_name(f"{output.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="") as file:
            write = _Lines(file) if output.suffix.lower() == ".jsonl" else _Table(file, output, rows, classifier)
            for start in range(0, len(rows), CHUNK):
                some = rows[start : start + CHUNK]
                texts = [text_of(row, column) for row in some]
                found = iter(_predictions(classifier, [text for text in texts if text]))
                for row, text in zip(some, texts, strict=True):
                    write.row(row, next(found) if text else {})
                yield start + len(some)
        os.replace(temporary, output)
    finally:
        temporary.unlink(missing_ok=True)


def text_of(row: Row, column: str) -> str:
    """The text of a row; empty where it has none."""
    value = row.get(column)
    text = "" if value is None else str(value)
    return text if text.strip() else ""


def _predictions(classifier: Classifier, texts: Sequence[str]) -> list[dict[str, dict[str, float]]]:
    """For each text and method the probability of every class."""
    result: list[dict[str, dict[str, float]]] = [{} for _ in texts]
    for method, shares in classifier.predict(texts).items():
        for row, own in enumerate(shares):
            result[row][method] = dict(zip(classifier.classes, map(float, own), strict=True))
    return result


class _Lines:
    def __init__(self, file: TextIO) -> None:
        self._file = file

    def row(self, row: Row, found: dict[str, dict[str, float]]) -> None:
        told = {method: {"class": _best(shares), "probabilities": shares} for method, shares in found.items()}
        self._file.write(json.dumps({**row, "predictions": told}, ensure_ascii=False, default=str) + "\n")


class _Table:
    def __init__(self, file: TextIO, output: Path, rows: Sequence[Row], classifier: Classifier) -> None:
        columns: dict[str, None] = {}
        for row in rows:
            columns.update(dict.fromkeys(row))
        for method in classifier.methods:
            columns.update(dict.fromkeys((f"predicted_{method}", f"probability_{method}")))
        separator = "\t" if output.suffix.lower() == ".tsv" else ","
        self._writer = csv.DictWriter(file, list(columns), delimiter=separator, lineterminator="\n")
        self._writer.writeheader()

    def row(self, row: Row, found: dict[str, dict[str, float]]) -> None:
        cells: dict[str, Any] = dict(row)
        for method, shares in found.items():
            best = _best(shares)
            cells |= {f"predicted_{method}": best, f"probability_{method}": f"{shares[best]:.6f}"}
        self._writer.writerow(cells)


def _best(shares: dict[str, float]) -> str:
    return max(shares, key=shares.__getitem__)
