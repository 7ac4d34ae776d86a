"""The glossary: every term has a short definition, a source, and the figures that the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from engine.comparison import statistics
from engine.lab import glossary
from engine.lab.glossary import TERMS, Term, page
from engine.lm import sweep
from engine.retrieve import bi_encoder, metrics

NUMBERS = {4: "four", 10: "ten"}


def _sentences(text: str) -> int:
    return len(re.findall(r"[.!?](?= [A-Z#0-9]|$)", text))


def test_names_are_unique_and_in_the_order_of_the_alphabet() -> None:
    lines = Path(glossary.__file__).with_suffix(".jsonl").read_text("utf-8").splitlines()
    names = [json.loads(line)["name"] for line in lines]
    letters = ["".join(letter for letter in name.lower() if letter.isalnum()) for name in names]
    assert letters == sorted(set(letters))
    assert [term.name for term in page()] == names == list(TERMS)


@pytest.mark.parametrize("term", page(), ids=lambda term: term.name)
def test_a_term_has_two_sentences_at_most_and_a_source(term: Term) -> None:
    assert 1 <= _sentences(term.definition) <= 2
    assert term.definition.endswith(".")
    who, _, title = term.source.partition(", ")
    assert who
    assert title, "authors or project, then a year or title"
    assert term.url == "" or re.fullmatch(r"https://[\w.-]+/\S*", term.url)


@pytest.mark.parametrize(
    ("term", "figure"),
    [
        ("repetition rate", NUMBERS[sweep.RUN]),
        ("calibration error", NUMBERS[statistics.BINS]),
        ("confidence interval", f"{statistics.CONFIDENCE:.0%}"),
        ("p-value", f"{statistics.CHANCE:g}"),
        ("in-batch negatives", f"times {bi_encoder.SCALE:g}"),
        ("recall@100", f"first {metrics.DEPTH}"),
        ("MAP@100", f"first {metrics.DEPTH}"),
    ],
)
def test_figures_in_definitions_are_those_of_the_code(term: str, figure: str) -> None:
    assert re.search(rf"(?<!\w){re.escape(figure)}(?!\w)", TERMS[term].definition)


def test_the_rank_constant_of_the_fusion_is_the_one_that_is_used() -> None:
    constant = re.search(r"1 / \((\d+) \+", TERMS["hybrid (RRF)"].definition)
    assert constant is not None
    assert metrics.fuse([metrics.Ranked((7,), (3.0,))]).scores == (1 / (int(constant[1]) + 1),)
