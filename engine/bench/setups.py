"""What the check computes on: the engine's own trainers, models and encoders, small or large, made from a seed.

Every call that tells the engine where to compute is in this module.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from data.corpus import Corpus
    from engine.device import Placement
    from engine.encoders.find import Encoder
    from engine.gpt.spec import TrainSpec
    from engine.gpt.trainer import Trainer
    from engine.lm.model import LanguageModel

TINY: Mapping[str, Any] = {"layers": 2, "heads": 2, "width": 32, "context": 32, "batch": 8, "dropout": 0.1}
"""the shape of a GPT in a quick check"""
RECIPES = ("karpathy", "fast-karpathy")
"""presets that are made for a GPU: with AdamW, and with Muon"""
WARM_UP = 12
"""calls before work is timed or watched: kernels are chosen, compiled and captured in them"""
WORDS = 400
CLASSES = 3


@dataclass(frozen=True)
class Setup:
    """What the check was asked for."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``"""
    quick: bool = False
    """small models and few steps"""
    corpus: str = "dantesque"
    model: str = ""
    """for ``decode``, ``zero-shot`` and ``encode``: in place of a random GPT-2 and of MiniLM"""
    nanogpt: str = ""
    """for ``peers``: the folder of a checkout of nanoGPT"""
    seconds: float = 20.0
    """for ``ui``"""
    data: str = ""
    """for ``zero-shot``: in place of the bundled questions"""

    @property
    def cuda(self) -> bool:
        return self.device.startswith("cuda")

    def alone(self) -> Setup:
        """The same setup, in an environment that shows no other CUDA device than the one that was asked for.

        So whatever chooses a device by itself takes this one. Before torch looks for devices.
        """
        kind, _, number = self.device.partition(":")
        if kind == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        elif number:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            chosen = visible[int(number)] if int(number) < len(visible) and visible[0] else number
            os.environ["CUDA_VISIBLE_DEVICES"] = chosen
        return dataclasses.replace(self, device=kind)

    def of(self, quick: int, whole: int) -> int:
        """A number that depends on whether the check is a quick one."""
        return quick if self.quick else whole


def place(setup: Setup) -> Placement:
    """Where the program computes on the device of the check."""
    from engine import device

    return device.place(setup.device, "auto", setup.of(1, 0))


# -- trainings -------------------------------------------------------------------------------------------------------


def corpus(setup: Setup) -> Corpus:
    """The text that is trained on. Raises :class:`data.corpus.CorpusError`."""
    from checkpoints import home
    from data import dante
    from engine.runs.messages import finish

    return finish(dante.load(setup.corpus, cache=home.cache()))


def spec(setup: Setup, preset: str, **changes: Any) -> TrainSpec:
    """A training on the device of the check; in a quick one of a tiny model."""
    from engine.gpt.spec import build

    threads = setup.of(1, 0)  # one for small models: several would wait for each other
    given = {"corpus": setup.corpus, "preset": preset, "device": setup.device, "threads": threads, "sample_every": 0}
    return build({**given, **(TINY if setup.quick else {}), **changes}, preset_for_auto="nano")


def named(setup: Setup, recipe: str) -> str:
    """What a recipe is called in the table."""
    return f"a tiny {recipe}" if setup.quick else recipe


def trainer(asked: TrainSpec, text: Corpus, *, exact: bool = False) -> Trainer:
    """A trainer at step 0; ``exact``: float32 products without TF32."""
    import torch

    from engine.device import place
    from engine.gpt.trainer import Trainer

    made = Trainer(asked, text, place(asked.device, asked.precision, asked.threads))
    torch.set_float32_matmul_precision("highest" if exact else "high")
    return made


Step = Callable[[], "tuple[Tensor, Tensor, float]"]
Stepping = Callable[["Trainer"], Step]


def eager_step(made: Trainer) -> Step:
    """The step of a trainer, operation by operation."""
    return made.step


def captured_step(made: Trainer) -> Step:
    """The step of a trainer as a training takes it: one CUDA graph, an ordinary one on other devices."""
    from engine.gpt.captured import CapturedStep

    return CapturedStep(made)


STEPPINGS: Mapping[str, Stepping] = {"eager": eager_step, "captured": captured_step}


def not_captured(step: Step) -> str:
    """Why the graph of a captured step could not be had; empty where it could, and of an eager step."""
    return "; ".join(notice.text for notice in getattr(step, "notices", list)())


# -- language models -------------------------------------------------------------------------------------------------


def dante_model(setup: Setup, *, captured: bool) -> LanguageModel:
    """The bundled Dante GPT on a device, with its decoding step captured or plain."""
    from engine.gpt import trained
    from engine.lm.model import Facts, OwnModel, lay_out
    from engine.tokenization.encoding import CharacterTokenizer

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
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    from engine.tokenization import find as tokenizers

    torch.manual_seed(1)
    kinds: tuple[Any, Any] = (GPT2Config, GPT2LMHeadModel) if name == "GPT-2" else (LlamaConfig, LlamaForCausalLM)
    model = kinds[1](kinds[0](**{**SHAPES[name], **changes}, bos_token_id=None, eos_token_id=None))
    model.to(dtype).save_pretrained(folder)
    words: Any = tokenizers.bundled("gpt2")
    words.backend.save(str(folder / "tokenizer.json"))


def language_model(setup: Setup, folder: Path, *, exact: bool = False) -> Any:
    """The model of a folder, as the program loads it; ``exact``: float32 products without TF32, here and later."""
    import torch

    from engine.lm import find
    from engine.runs.messages import finish

    found: Any = finish(find.load(str(folder), device=setup.device))
    if exact:
        torch.set_float32_matmul_precision("highest")
        if setup.cuda:
            found.use_static_step()  # captured anew, with these products
    return found


def decodes_captured(lm: Any) -> bool:
    """Whether a loaded model decodes by a captured graph; without one it goes on, slower."""
    return getattr(getattr(lm, "_step", None), "_graph", None) is not None


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
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel

    from engine.encoders.find import MINILM_CONFIG, of_folder

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
        small = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96}
        numbers |= small
    torch.manual_seed(2)
    BertModel(BertConfig(**numbers)).save_pretrained(folder)
    words.save(str(folder / "tokenizer.json"))
    return of_folder(folder, "random MiniLM", str(folder), str(folder))


def encoding(found: Encoder, device: str) -> Any:
    """The encoder on a device, as the program computes features with it."""
    from engine.encoders.encode import machine_for

    return machine_for(found, device)


def fine_tuning(found: Encoder, device: str, rows: int) -> Any:
    """A training of the whole encoder to classify ``rows`` texts, one epoch of it."""
    from engine.encoders.fine_tune import Classifying, TuneSettings
    from engine.runs.messages import Control

    given = texts(rows)
    settings = TuneSettings(epochs=1, rows=16)
    names = [f"class {number}" for number in range(CLASSES)]
    return Classifying(given, given, found, settings, Control(), device, classes=names)


def bi_encoder(found: Encoder, device: str, mode: Any, rows: int) -> Any:
    """A training of a bi-encoder on ``rows`` queries with a document each, one epoch of it."""
    import numpy as np

    from data.beir import Collection
    from engine.encoders.encode import encode_now
    from engine.encoders.index import unit
    from engine.retrieve import bi_encoder as bi
    from engine.retrieve.training_data import BiSettings, TrainingInputs, split
    from engine.runs.messages import Control

    documents, _ = texts(rows)
    names = tuple(f"d{row}" for row in range(rows))
    queries = {f"q{row}": " ".join(text.split()[:4]) for row, text in enumerate(documents)}
    relevant = {"train": {f"q{row}": {f"d{row}": 1} for row in range(rows)}}
    collection = Collection("synthetic", "", names, ("",) * rows, tuple(documents), queries, relevant)
    frozen = unit(encode_now([*documents, *queries.values()], encoding(found, "cpu"), 128, "mean"))
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
    from engine.comparison import heads
    from engine.runs.messages import Control

    heads.DROPOUT = 0.0
    train, held = _clusters(rows, 3), _clusters(rows, 4)
    task = heads.mlp("mlp", train, held, Control(), classes=CLASSES, device=device)
    return _losses(list(itertools.islice(task, epochs)))


def scorer_losses(device: str, rows: int, epochs: int) -> list[float]:
    """Training and held-out losses of a scorer of choices, without dropout."""
    import numpy as np

    from engine.choose.scorer import Pairs, RankSettings, fit
    from engine.runs.messages import Control

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
    import numpy as np

    centres = np.random.default_rng(0).standard_normal((CLASSES, 384), np.float32) * 0.1
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, rows)
    return centres[labels] + rng.standard_normal((rows, 384), np.float32), labels.tolist()
