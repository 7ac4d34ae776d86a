"""Encoders of a few thousand random numbers, saved as ``transformers`` saves them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

WORDS = ["the", "a", "my", "is", "was", "where", "how"]
WORDS += ["can", "not", "charged", "parcel", "password", "app", "screen", "card", "bill", "late", "login", "driver"]


def texts(count: int, classes: int = 3, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts whose class shows in some of their words, of 1 to 12 words, with their classes."""
    import random

    rng = random.Random(seed)
    made, labels = [], []
    for row in range(count):
        label = row % classes
        own = WORDS[7 + label * 4 : 11 + label * 4]
        words = [rng.choice(own) if rng.random() < 0.6 else rng.choice(WORDS[:7]) for _ in range(rng.randint(1, 12))]
        made.append(" ".join([*words, own[row % 4]]) + f" {row}")
        labels.append(label)
    return made, labels


def write_csv(path: Path, rows: tuple[list[str], list[int]], names: str = "abcdef") -> Path:
    """A CSV of texts and class names."""
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((text, names[label]) for text, label in zip(*rows, strict=True))
    return path


def bert(folder: Path, seed: int = 0) -> Path:
    """A BERT of two layers, 16 wide."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS) + 5,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.4,
    )
    BertModel(config).save_pretrained(folder)
    _wordpiece(folder)
    return folder


def gpt2(folder: Path) -> Path:
    """A GPT-2 of two layers, 16 wide, over the same words."""
    import torch
    from transformers import GPT2Config, GPT2Model

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(WORDS) + 5, n_embd=16, n_layer=2, n_head=2, n_positions=64, initializer_range=0.4
    )
    GPT2Model(config).save_pretrained(folder)
    _wordpiece(folder, special=False)
    return folder


def distilbert(folder: Path) -> Path:
    """A DistilBERT of two layers, 16 wide, over the same words."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(WORDS) + 5, dim=16, n_layers=2, n_heads=2, hidden_dim=32, max_position_embeddings=64
    )
    DistilBertModel(config).save_pretrained(folder)
    _wordpiece(folder)
    return folder


@contextlib.contextmanager
def uncached() -> Iterator[None]:
    """An empty home of the program, in the one that there is: nothing was computed before."""
    home = Path(os.environ["LLMLAB_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    with mock.patch.dict(os.environ, LLMLAB_HOME=tempfile.mkdtemp(dir=home)):
        yield


def finish(generator: Any, on: Any = None) -> tuple[list[Any], Any]:
    """Every event of a generator and what it returned; ``on`` sees each event as it comes."""
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as end:
            return events, end.value
        if on is not None:
            on(events[-1])


def _wordpiece(folder: Path, *, special: bool = True) -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    if special:
        ends = [("[CLS]", 2), ("[SEP]", 3)]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": "[PAD]"}))
