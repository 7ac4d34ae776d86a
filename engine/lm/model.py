"""Causal language models behind one interface: feed ids, get logits; keys and values of what was fed are kept.

The project's own networks compute its own checkpoints, every GPT-2 and Llama's family; any other architecture goes
through ``transformers``. Both remember the ids whose keys and values they hold, so that a prompt whose end was edited
costs only what changed.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine import limits
from engine.device import free_memory, or_the_cpu, out_of_memory, size_of, threads
from engine.encoders.linear import OneDnnLinear, has_onednn
from engine.gpt.model import GPT
from engine.lm.batch import Batch, ForeignBatch, OwnBatch, StaticStep
from engine.lm.chat import ChatTemplate
from engine.lm.llama import Llama
from engine.lm.tree import TokenTree
from engine.machine import MemoryRanOut, gib, physical_cores
from engine.runs.events import Token
from engine.tokenization.encoding import Tokenizer

ALONE = 32  # tokens before the first whose logits are wanted, beyond which theirs are not computed
PAGE = 4096  # bytes


@dataclass(frozen=True)
class Facts:
    """What is known of a model beside its weights."""

    name: str
    """as the user asked for it"""
    source: str
    """where it came from, for the screen"""
    tokenizer: Tokenizer
    eos: frozenset[int] = frozenset()
    """ids that end a text"""
    start: int | None = None
    """the id that an empty prompt begins from"""
    chat: ChatTemplate | None = None


class LanguageModel(abc.ABC):
    """A loaded model. One completion at a time: its cache holds one sequence."""

    def __init__(self, facts: Facts, network: nn.Module, context: int, vocabulary: int) -> None:
        self.name, self.source, self.tokenizer = facts.name, facts.source, facts.tokenizer
        self.eos, self.start, self.chat = facts.eos, facts.start, facts.chat
        self.context, self.vocabulary = context, vocabulary
        self.slides = facts.tokenizer.kind == "characters"
        """whether a completion goes on when the context is full, seeing the end of the text: a model of characters was
        trained on windows from anywhere in a text, and its whole context is a verse or two"""
        self.network = network
        first = next(network.parameters())
        self.device, self.precision = first.device, str(first.dtype).removeprefix("torch.")
        self.parameters = sum(tensor.numel() for tensor in network.parameters())
        self.bytes = size_of(network)
        self.held: list[int] = []
        """ids whose keys and values are kept"""
        self.scored: list[Token] = []
        """what was found of ``held[1:]``, as far as it was looked at, so that an edited prompt is scored from there"""

    def reuse(self, ids: Sequence[int]) -> int:
        """Keep what is held as far as ``ids`` begin with it, and say how far. The last id is always left to feed."""
        common = 0
        for ours, theirs in zip(self.held, ids, strict=False):
            if ours != theirs:
                break
            common += 1
        del self.scored[max(0, common - 1) :]
        return self.keep(min(common, len(ids) - 1))

    def keep(self, length: int) -> int:
        """Let go of what is held beyond ``length`` tokens, and say how many are left, which may be fewer."""
        if length < len(self.held):
            del self.held[self._keep(length) :]
        return len(self.held)

    def feed(self, ids: Sequence[int], *, every: bool = False, there: Tensor | None = None) -> Tensor:
        """Logits after the last of ``ids`` ``(vocabulary,)``, float32, or after ``every`` one ``(ids, vocabulary)``.

        ``there`` may hold the same ids ``(n,)`` on the device already. Raises :class:`ValueError` beyond the context
        or for an id without an embedding, and :class:`engine.machine.MemoryRanOut` where memory runs out; nothing is
        held then.
        """
        self.check(ids)
        length = len(self.held) + len(ids)
        if length > self.context:
            raise ValueError(f"{length} tokens are more than the context of {self.context}")
        given = torch.tensor(ids, device=self.device) if there is None else there
        with self._computing(1, len(ids), length):
            logits = self._logits(given[None], every)[0].float()
        self.held += ids
        return logits if every else logits[-1]

    def branch(self, rows: int, room: int) -> Batch:
        """``rows`` sequences that begin with what is held, and whose keys and values have space for ``room`` tokens.

        Raises :class:`engine.machine.MemoryRanOut` where they would not fit, and as :meth:`feed`.
        """
        with self._computing(rows, 1, room):
            free = free_memory(self.device)
            if free is not None and rows * room * self._position_bytes() > free:
                raise MemoryError
            return self._branch(rows, room)

    def feed_batch(self, batch: Batch, ids: Tensor) -> Tensor:
        """Logits ``(rows, vocabulary)``, float32, after the last of ``ids`` ``(rows, n)`` in the rows of ``batch``.

        Raises :class:`engine.machine.MemoryRanOut`; nothing is held then, and the batch is of no more use.
        """
        rows, count = ids.shape
        with self._computing(rows, count, batch.length + count):
            return batch.logits(ids).float()

    def feed_tree(self, tree: TokenTree, nodes: Sequence[int]) -> Tensor:
        """Logits ``(nodes, vocabulary)``, float32, after each of ``nodes``, which every leaf is among.

        Nothing of it need be held afterwards. Raises as :meth:`feed`.
        """
        self.check(tree.ids)
        if (longest := max(tree.positions) + 1) > self.context:
            raise ValueError(f"{longest} tokens are more than the context of {self.context}")
        with self._computing(1, len(tree), len(tree)):
            return self._tree_logits(tree, nodes).float()

    @contextlib.contextmanager
    def _computing(self, rows: int, count: int, length: int) -> Iterator[None]:
        """Where ``count`` tokens are fed to each of ``rows``, which are ``length`` tokens long then."""
        try:
            with torch.inference_mode(), threads(1 if count == 1 else physical_cores()):
                yield
        except BaseException as error:
            told = self._out_of_memory(rows, length) if out_of_memory(error) else ""
            self.forget()
            if told:
                raise MemoryRanOut(told) from None
            raise

    def check(self, ids: Sequence[int]) -> None:
        """Raise :class:`ValueError` for an id without an embedding."""
        if problem := limits.without_embedding(ids, self.vocabulary, self.tokenizer, self.name):
            raise ValueError(problem)

    def forget(self) -> None:
        """Hold nothing."""
        self._keep(0)
        self.held, self.scored = [], []

    def fingerprint(self) -> str:
        """SHA-256 of the weights, by name; takes about a second for each gigabyte."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        return digest.hexdigest()

    def _out_of_memory(self, rows: int, length: int) -> str:
        free, tokens = free_memory(self.device), rows * length
        sizes = [f"the weights take {gib(self.bytes)}", f"keys and values {gib(self._cache_bytes())}"]
        sizes += [f"{gib(free)} are free"] if free is not None else []
        advice = or_the_cpu("Shorten the text, name a smaller model", self.device)
        return f"{self.name} ran out of memory on {self.device} at {tokens:,} tokens: {', '.join(sizes)}. {advice}"

    @property
    def branches(self) -> bool:
        """Whether :meth:`branch` can be had."""
        return False

    def _tree_logits(self, tree: TokenTree, nodes: Sequence[int]) -> Tensor:
        """As :meth:`feed_tree`, in any precision: one sequence after another, which every architecture computes."""
        missing: dict[int, Tensor | None] = dict.fromkeys(nodes)
        for path in tree.paths():
            ids = [tree.ids[node] for node in path]
            first = next(place for place, node in enumerate(path) if missing.get(node, False) is None)
            kept = self.keep(min(self.reuse(ids), first))
            if first - kept > ALONE:
                self.feed(ids[kept:first])
                kept = first
            for node, row in zip(path[kept:], self.feed(ids[kept:], every=True), strict=True):
                if node in missing:
                    missing[node] = row
        return torch.stack([row for row in missing.values() if row is not None])

    def _cache_bytes(self) -> int:
        """Bytes of the keys and values; 0 where there are none."""
        return 0

    def _position_bytes(self) -> float:
        """Bytes of the keys and values of one token, when some are held."""
        return 0.0

    def _branch(self, rows: int, room: int) -> Batch:
        """As :meth:`branch`, without regard to memory."""
        raise NotImplementedError

    @abc.abstractmethod
    def _logits(self, ids: Tensor, every: bool) -> Tensor:
        """Logits ``(1, ids or 1, vocabulary)`` of ids that follow what is held, which then holds them too."""

    @abc.abstractmethod
    def _keep(self, length: int) -> int:
        """Let go of keys and values beyond ``length``; returns how many are left, which may be fewer."""


class OwnModel(LanguageModel):
    """A network of the project with a preallocated cache, which grows to the context."""

    def __init__(self, facts: Facts, gpt: GPT | Llama) -> None:
        super().__init__(facts, gpt, gpt.config.context, gpt.config.vocabulary)
        self._gpt = gpt
        with torch.inference_mode():
            self._cache = gpt.new_cache()
        self._step: StaticStep | None = None

    def use_static_step(self) -> None:
        """Decode with a step that can be captured, and is on a GPU. Only while nothing is held.

        Raises whatever the capture does; nothing is changed then.
        """
        with torch.inference_mode():
            self._step = StaticStep(self._gpt, self._cache)

    def _logits(self, ids: Tensor, every: bool) -> Tensor:
        self._make_room(len(self.held) + ids.shape[1])
        if self._step is not None and ids.shape[1] == 1:
            return self._step(ids, len(self.held))
        logits: Tensor = self._gpt(ids, self._cache, len(self.held), last=not every)
        return logits

    def _tree_logits(self, tree: TokenTree, nodes: Sequence[int]) -> Tensor:
        ids, positions, rows = (torch.tensor(each).to(self.device) for each in (tree.ids, tree.positions, nodes))
        return self._gpt.tree(ids, positions, torch.from_numpy(tree.seen()).to(self.device), rows)[0]

    def _make_room(self, length: int) -> None:
        """Let the cache, if it is smaller than the context, hold ``length`` positions."""
        room = self._cache[0][0].shape[2]
        if length <= room:
            return
        assert isinstance(self._gpt, Llama), "a GPT's cache has room for its context"
        old, self._cache = self._cache, self._gpt.new_cache(room=max(length, 2 * room))
        if self._step is not None:
            self._step = StaticStep(self._gpt, self._cache)
        for pair, before in zip(self._cache, old, strict=True):
            for ours, theirs in zip(pair, before, strict=True):
                ours[:, :, :room] = theirs

    def _keep(self, length: int) -> int:
        return length

    def _cache_bytes(self) -> int:
        return sum(part.nbytes for pair in self._cache for part in pair)

    def _position_bytes(self) -> float:
        return self._cache_bytes() / self._cache[0][0].shape[2]

    @property
    def branches(self) -> bool:
        return True

    def _branch(self, rows: int, room: int) -> Batch:
        return OwnBatch(self._gpt, self._cache, len(self.held), rows, room, static=self._step is not None)


class ForeignModel(LanguageModel):
    """Any causal language model of ``transformers``."""

    def __init__(self, facts: Facts, model: Any, context: int) -> None:
        super().__init__(facts, model, context, model.get_output_embeddings().weight.shape[0])
        self._model = model
        named = inspect.signature(model.forward).parameters
        self._last = {"logits_to_keep": 1} if "logits_to_keep" in named else {}
        self._cache_argument = "cache" if "cache" in named else "past_key_values"  # its name since 5.24, and before
        self._cache = self._new_cache()

    def _logits(self, ids: Tensor, every: bool) -> Tensor:
        only = {} if every else self._last
        out = self._model(input_ids=ids, use_cache=True, **{self._cache_argument: self._cache}, **only)
        logits: Tensor = out.logits
        return logits

    def _keep(self, length: int) -> int:
        if length and self._crops():
            self._cache.crop(length - len(self.held))  # a negative number of tokens to remove
            return length
        self._cache = self._new_cache()
        return 0

    def _cache_bytes(self) -> int:
        kept = [getattr(layer, name, None) for layer in self._cache.layers for name in ("keys", "values")]
        return sum(part.nbytes for part in kept if isinstance(part, Tensor))

    @property
    def branches(self) -> bool:
        return self._crops()

    def _position_bytes(self) -> float:
        return self._cache_bytes() / max(1, len(self.held))

    def _branch(self, rows: int, room: int) -> Batch:
        return ForeignBatch(self._model, self._cache, len(self.held), rows, self._last, self._cache_argument)

    def _crops(self) -> bool:
        """Whether every layer keeps all keys and values; a sliding or recurrent one cannot go back."""
        return all(type(layer).__name__ == "DynamicLayer" for layer in self._cache.layers)

    def _new_cache(self) -> Any:
        from transformers import DynamicCache

        return DynamicCache(config=self._model.config)


def lay_out(gpt: GPT | Llama) -> GPT | Llama:
    """Store the matrices of linear layers as they are read fastest for a few rows; the numbers stay the same.

    On a CPU in float32 for oneDNN: MKL, which torch takes for linear layers, can need 1.3 times as long for a single
    token and twice as long for eight. By columns there, unless they lie whole pages apart and share lines of the cache.
    Elsewhere the longer side lies contiguous: a product with a single token reads the whole matrix once, and the longer
    the pieces that lie together, the nearer it comes to what the memory bus gives.
    """
    weight = gpt.tokens.weight
    by_onednn = weight.device.type == "cpu" and weight.dtype == torch.float32 and has_onednn()
    for layer in gpt.modules():
        if isinstance(layer, nn.Linear):
            shared = layer.weight is gpt.tokens.weight
            weight = layer.weight.detach()
            rows, columns = weight.shape
            by_columns = 4 * rows % PAGE > 0 if by_onednn else rows > columns
            laid = weight.T.contiguous().T if by_columns else weight.contiguous()
            layer.weight = nn.Parameter(laid, requires_grad=False)
            if shared:
                gpt.tokens.weight = layer.weight
            if by_onednn:
                layer.__class__ = OneDnnLinear  # the same parameters
    return gpt
