"""What the check computes on: the engine's own trainers, models and encoders, small or large, made from a seed.

Every call that tells the engine where to compute is in this module.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor

from checkpoints import home
from data import dante
from data.beir import Collection
from data.corpus import Corpus
from engine import device as devices
from engine.bench.setup import Setup
from engine.choose.scorer import Pairs, RankSettings, fit
from engine.comparison import heads
from engine.device import Placement
from engine.encoders.encode import encode_now, machine_for
from engine.encoders.find import MINILM_CONFIG, Encoder, of_folder
from engine.encoders.fine_tune import Classifying, TuneSettings
from engine.encoders.index import unit
from engine.gpt import trained
from engine.gpt.captured import CapturedStep
from engine.gpt.spec import TrainSpec
from engine.gpt.trainer import Trainer
from engine.lm.model import Facts, LanguageModel, OwnModel, lay_out
from engine.retrieve import bi_encoder as bi
from engine.retrieve.training_data import BiSettings, TrainingInputs, split
from engine.runs.messages import Control, finish
from engine.tokenization import find as tokenizers
from engine.tokenization.encoding import CharacterTokenizer

RECIPES = ("karpathy", "fast-karpathy")
"""presets that are made for a GPU: with AdamW, and with Muon"""
WARM_UP = 12
"""calls before work is timed or watched: kernels are chosen, compiled and captured in them"""
WORDS = 400
CLASSES = 3


def place(setup: Setup) -> Placement:
    """Where the program computes on the device of the check."""
    return devices.place(setup.device, "auto", setup.of(1, 0))


# -- trainings -------------------------------------------------------------------------------------------------------


def corpus(setup: Setup) -> Corpus:
    """The text that is trained on. Raises :class:`data.corpus.CorpusError`."""
    return finish(dante.load(setup.corpus, cache=home.cache()))


def trainer(asked: TrainSpec, text: Corpus, *, exact: bool = False) -> Trainer:
    """A trainer at step 0; ``exact``: float32 products without TF32."""
    made = Trainer(asked, text, devices.place(asked.device, asked.precision, asked.threads))
    torch.set_float32_matmul_precision("highest" if exact else "high")
    return made


Step = Callable[[], tuple[Tensor, Tensor, float]]
Stepping = Callable[[Trainer], Step]
STEPPINGS: Mapping[str, Stepping] = {"eager": lambda made: made.step, "captured": CapturedStep}
"""the step of a trainer, operation by operation and as a training takes it: one CUDA graph, where there is CUDA"""


def not_captured(step: Step) -> str:
    """Why the graph of a captured step could not be had; empty where it could, and of an eager step."""
    return "; ".join(notice.text for notice in getattr(step, "notices", list)())


# -- language models -------------------------------------------------------------------------------------------------


def dante_model(setup: Setup, *, captured: bool) -> LanguageModel:
    """The bundled Dante GPT on a device, with its decoding step captured or plain."""
    place(setup)  # sets torch up as a task does
    found = trained.load("bundled")
    words = CharacterTokenizer(found.vocabulary, "bundled", found.source)
    made = OwnModel(Facts("bundled", found.source, words), lay_out(found.model.to(setup.device)))
    if captured:
        made.use_static_step()
    return made


SHAPES: Mapping[str, Mapping[str, Any]] = {
    "GPT-2": {},
    "SmolLM2": {
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
        "tie_word_embeddings": True,
    },
}
"""GPT-2 124M, which is the default of transformers, and SmolLM2-135M with a shorter context"""


def model_folder(folder: Path, dtype: torch.dtype, name: str, **changes: Any) -> None:
    """A random model of one of ``SHAPES`` as ``save_pretrained`` leaves it, with GPT-2's tokenizer.

    No token ends a text, so that a completion has the length that is asked for.
    """
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    kinds: tuple[Any, Any] = (GPT2Config, GPT2LMHeadModel) if name == "GPT-2" else (LlamaConfig, LlamaForCausalLM)
    model = kinds[1](kinds[0](**{**SHAPES[name], **changes}, bos_token_id=None, eos_token_id=None))
    model.to(dtype).save_pretrained(folder)
    words: Any = tokenizers.bundled("gpt2")
    words.backend.save(str(folder / "tokenizer.json"))


# -- encoders --------------------------------------------------------------------------------------------------------


def texts(count: int) -> tuple[list[str], list[int]]:
    """Texts of 4 to 60 synthetic words, and the class of each, whose words are in half of the places."""
    rng = random.Random(7)
    found, labels = [], []
    for _ in range(count):
        label = rng.randrange(CLASSES)
        own = range(label, WORDS, CLASSES)
        words = [rng.choice(own) if rng.random() < 0.5 else rng.randrange(WORDS) for _ in range(rng.randint(4, 60))]
        found.append(" ".join(f"w{word}" for word in words))
        labels.append(label)
    return found, labels


def encoder(setup: Setup, folder: Path) -> Encoder:
    """A random encoder of MiniLM's shape without dropout, and a tokenizer that knows the synthetic words."""
    from transformers import BertConfig, BertModel

    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    known = {token: number for number, token in enumerate([*special, *(f"w{word}" for word in range(WORDS))])}
    words = Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens(list(special))
    ends = [(end, known[end]) for end in ("[CLS]", "[SEP]")]
    words.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    numbers = {name: value for name, value in MINILM_CONFIG.items() if name != "model_type"}
    numbers |= {"vocab_size": len(known), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if setup.quick:
        numbers |= {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
    torch.manual_seed(2)
    BertModel(BertConfig(**numbers)).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    return of_folder(folder, "random MiniLM", str(folder), str(folder))


def fine_tuning(found: Encoder, device: str, rows: int) -> Any:
    """A training of the whole encoder to classify ``rows`` texts, one epoch of it."""
    given = texts(rows)
    settings = TuneSettings(epochs=1, rows=16)
    names = [f"class {number}" for number in range(CLASSES)]
    return Classifying(given, given, found, settings, Control(), device, classes=names)


def bi_encoder(found: Encoder, device: str, mode: Any, rows: int) -> Any:
    """A training of a bi-encoder on ``rows`` queries with a document each, one epoch of it."""
    documents, _ = texts(rows)
    names = tuple(f"d{row}" for row in range(rows))
    queries = {f"q{row}": " ".join(text.split()[:4]) for row, text in enumerate(documents)}
    relevant = {"train": {f"q{row}": {f"d{row}": 1} for row in range(rows)}}
    collection = Collection("synthetic", "", names, ("",) * rows, tuple(documents), queries, relevant)
    frozen = unit(encode_now([*documents, *queries.values()], machine_for(found, "cpu"), 128, "mean"))
    asked = dict(zip(queries, np.asarray(frozen[rows:]), strict=True))
    settings = BiSettings(mode=mode, epochs=1, rows=16).chosen()
    inputs = TrainingInputs(collection, found, frozen[:rows], asked, settings, device)
    return bi._BiTraining(inputs, split(collection, bi.FOLDS, 1), Control(), lambda _: None)


def epoch_losses(training: Any) -> list[float]:
    """The loss of every batch of the first epoch of an encoder's training."""
    compute, found = training.loss, []

    def loss(batch: Any) -> Tensor:
        value: Tensor = compute(batch)
        found.append(value.detach())
        return value

    training.loss = loss
    for _ in training.epoch(0):
        pass
    return [float(value) for value in found]


def mlp_losses(device: str, rows: int, epochs: int) -> list[float]:
    """Training and held-out losses of a classifier's MLP, without dropout, whose masks differ between devices."""
    heads.DROPOUT = 0.0
    train, held = _clusters(rows, 3), _clusters(rows, 4)
    task = heads.mlp("mlp", train, held, Control(), classes=CLASSES, device=device)
    return _losses(list(itertools.islice(task, epochs)))


def scorer_losses(device: str, rows: int, epochs: int) -> list[float]:
    """Training and held-out losses of a scorer of choices, without dropout."""

    def pairs(seed: int) -> Pairs:
        choices = _clusters(rows * CLASSES, seed)[0].reshape(rows, CLASSES, -1)
        question, labels = _clusters(rows, seed + 10)
        return Pairs(question, choices, choices * 0.5, np.ones((rows, CLASSES), bool), np.array(labels, np.int64))

    settings = RankSettings(epochs=epochs, dropout=0.0)
    return _losses(list(fit("scorer", pairs(3), pairs(4), settings, Control(), device=device)))


def _losses(steps: Sequence[Any]) -> list[float]:
    return [loss for step in steps for loss in (step.loss, step.held_out_loss)]


def _clusters(rows: int, seed: int) -> tuple[Any, list[int]]:
    """Features ``(rows, 384)`` around the centre of each row's class, and the classes."""
    centres = np.random.default_rng(0).standard_normal((CLASSES, 384), np.float32) * 0.1
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, rows)
    return centres[labels] + rng.standard_normal((rows, 384), np.float32), labels.tolist()
