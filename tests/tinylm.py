"""Small random language models on disk, as ``save_pretrained`` leaves them, and how tests drive them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from workbench import VERSE

from checkpoints import home

if TYPE_CHECKING:
    from engine.lm.model import LanguageModel
    from engine.runs.events import Event, Token
    from engine.runs.messages import Control

VOCABULARY = 300
END, TURN = "<|endoftext|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] | trim + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def write_tokenizer(folder: Path, *, start: bool = False) -> None:
    """A byte-level BPE of ``VOCABULARY`` tokens; the last one ends a text and, with ``start``, stands before any."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.train_from_iterator(
        [VERSE],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 1,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    made.add_special_tokens([END])
    assert made.get_vocab_size() == VOCABULARY
    if start:
        made.post_processor = processors.TemplateProcessing(
            single=f"{END} $A {END}", special_tokens=[(END, VOCABULARY - 1)]
        )
    made.save(str(folder / "tokenizer.json"))


def write_gpt2(folder: Path, *, seed: int = 3, **changes: Any) -> Any:
    """A random GPT-2 with a tokenizer; returns the model of ``transformers``."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    config = GPT2Config(
        **{
            "vocab_size": VOCABULARY,
            "n_positions": 64,
            "n_embd": 32,
            "n_layer": 3,
            "n_head": 4,
            "initializer_range": 0.3,
            "bos_token_id": VOCABULARY - 1,
            "eos_token_id": VOCABULARY - 1,
            **changes,
        }
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():  # a norm or a bias that stayed where it began would hide a mistake
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


def write_llama(folder: Path, *, seed: int = 3, **changes: Any) -> Any:
    """A random Llama (or, with ``sliding_window``, Mistral) with a tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    given = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": VOCABULARY - 1,
        "eos_token_id": VOCABULARY - 1,
        **changes,
    }
    model: Any = (
        MistralForCausalLM(MistralConfig(**given))
        if "sliding_window" in changes
        else LlamaForCausalLM(LlamaConfig(**given))
    ).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder, start=True)
    return model


def write_instruct(folder: Path, template: str | None = CHAT_TEMPLATE, *, apart: bool = False) -> Any:
    """A random Llama whose tokenizer has turns, and a start of text before any text; returns that of transformers."""
    from tokenizers import Tokenizer

    model = write_llama(folder, vocab_size=VOCABULARY + 2, max_position_embeddings=128)
    made = Tokenizer.from_file(str(folder / "tokenizer.json"))
    made.add_special_tokens(["<|im_start|>", TURN])
    made.save(str(folder / "tokenizer.json"))
    about: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END, "eos_token": TURN}
    if template is not None and apart:
        (folder / "chat_template.jinja").write_text(template)
    elif template is not None:
        about["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return model


def write_nanochat(folder: Path, *, seed: int = 3, **changes: Any) -> Any:
    """A random nanochat model with a tokenizer."""
    import torch
    from transformers import NanoChatConfig, NanoChatForCausalLM

    torch.manual_seed(seed)
    given = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.3,
        "bos_token_id": VOCABULARY - 1,
        "eos_token_id": VOCABULARY - 1,
        "pad_token_id": None,
        **changes,
    }
    model: Any = NanoChatForCausalLM(NanoChatConfig(**given)).eval()
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


def characters() -> str:
    """Trains a small model of characters, whose window slides after 32 of them; returns where it is, for ``load``."""
    from workbench import new_run, spec, train

    corpus = home.home() / "verse.txt"
    corpus.parent.mkdir(parents=True, exist_ok=True)
    corpus.write_text(VERSE, encoding="utf-8")
    made = spec(corpus, context=32, steps=60, learning_rate=1e-2, evaluate_every=60, sample_every=0)
    run = new_run(made)
    train(made, run=run)
    return str(run.path)


def hub_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the Hugging Face cache there."""
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))


def cached(cache: Path, repository: str, revision: str = "main") -> Path:
    """An empty folder in a Hugging Face cache for the files of a repository at a revision."""
    place, commit = cache / f"models--{repository.replace('/', '--')}", hashlib.sha1(revision.encode()).hexdigest()
    snapshot = place / "snapshots" / commit
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(commit)
    snapshot.mkdir(parents=True)
    return snapshot


def drive(task: Generator[Event, None, Any]) -> Any:
    """What a task returns."""
    while True:
        try:
            next(task)
        except StopIteration as end:
            return end.value


def load(name: Path | str) -> LanguageModel:
    """The model of that name."""
    from engine.lm import find as lm

    loaded: LanguageModel = drive(lm.load(str(name)))
    return loaded


def complete(
    lm: LanguageModel,
    prompt: str | Sequence[int],
    *,
    control: Control | None = None,
    on: Callable[[Event, Control], object] | None = None,
    candidates: int = 5,
    score_prompt: bool = False,
    **sampling: Any,
) -> list[Event]:
    """Every event of a completion; ``on`` sees each as it comes and can send messages."""
    from engine.lm.generate import generate
    from engine.lm.sampling import GenerateSpec, Sampling
    from engine.runs.messages import Control

    control = control or Control()
    spec = GenerateSpec(
        prompt if isinstance(prompt, str) else "",
        None if isinstance(prompt, str) else tuple(prompt),
        Sampling(**sampling),
        candidates,
        score_prompt,
    )
    events = []
    for event in generate(lm, spec, control):
        events.append(event)
        if on is not None:
            on(event, control)
    return events


def tokens(events: list[Event], *, prompt: bool = False) -> list[Token]:
    """The tokens of the completion, or of the prompt."""
    from engine.runs.events import Token

    return [event for event in events if isinstance(event, Token) and event.prompt is prompt]


def ids(events: list[Event]) -> list[int]:
    """Ids of the completion."""
    return [token.id for token in tokens(events)]


def held_children(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every process that is started from now on stands still at once, and is in the list."""
    started: list[Any] = []
    popen = subprocess.Popen

    def start(*args: Any, **given: Any) -> Any:
        started.append(popen(*args, **given))
        os.kill(started[-1].pid, signal.SIGSTOP)
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    return started
