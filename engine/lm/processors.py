"""From logits to the next token: the settings' cuts, exactly as ``transformers`` makes them, and the draw.

The order is that of ``transformers``: repetition penalty, temperature, top-k, top-p, min-p. Each cut keeps the first
tokens of one ranking (by score; among equals the higher id first), so a cut is a length, and what a token fell to
follows from its place. Where top-p's boundary runs through equals, as many stay as in ``transformers``; which ones is
an accident of an unstable sort there. On the CPU the ranking is made only as far down as the settings and the draw
reach; elsewhere whole, since a sort there costs less than waiting for an answer.

The draw inverts the cumulated probabilities of that ranking at one number, which depends on the seed and the place in
the sequence alone. Two settings under one seed therefore draw with the same number: they part only where the boundary
between two ranks moves over it.

What the model held, what the settings left and what was drawn make one row of numbers where the logits are, which the
host reads in one go: one transfer a token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from data.windows import derive_seed
from engine.device import has_float64
from engine.lm.sampling import Sampling
from engine.runs.events import Candidate, Token

FIRST = (1024, 8192)  # ranks looked at before the whole vocabulary is sorted
SLACK = 1e-5  # of probability: a boundary of top-p closer than this is left to the whole sort, summed as there

_NOTHING = float("-inf")
_CUTS = ("top_k", "top_p", "min_p")


@dataclass(frozen=True)
class Filtered:
    """What the settings left of one distribution. Lengths count the ranking from its top."""

    scores: Tensor
    """logits after penalty and temperature ``(vocabulary,)``"""
    ids: Tensor
    """the ranking, or as much of its beginning as the draw needs"""
    values: Tensor
    """their scores; -inf where cut"""
    normaliser: Tensor
    """a score less this is the logarithm of the probability of the draw"""
    top_k: Tensor | int
    """tokens left after top-k"""
    top_p: Tensor | int
    min_p: Tensor | int
    """tokens left to draw from"""
    complete: bool
    """whether ``ids`` holds every token that is left"""


def number(seed: int, index: int) -> float:
    """The number in 0 ≤ u < 1 that decides the draw at place ``index`` of a sequence."""
    return float((derive_seed(seed, "draw", index) >> 10) / 2**53)


def penalise(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Logits of the ids in ``seen`` divided by ``penalty`` where positive, multiplied where negative (Keskar 2019)."""
    if penalty == 1.0:
        return logits
    found = logits[seen]
    return logits.scatter(0, seen, torch.where(found < 0, found * penalty, found / penalty))


def warp(logits: Tensor, sampling: Sampling, seen: Tensor, u: float) -> Filtered:
    """Apply the settings to ``logits`` ``(vocabulary,)``, float32; ``seen`` holds the ids of the whole sequence.

    The ranking reaches at least as far down as the draw at ``u`` does. Greedy is no draw: it takes the largest of
    :func:`penalise`.
    """
    scores = penalise(logits, seen, sampling.repetition_penalty)
    if sampling.temperature != 1:
        scores = scores / sampling.temperature
    if scores.device.type == "cpu":
        size = scores.shape[0]
        if 0 < sampling.top_k < size:
            least = scores.topk(sampling.top_k).values[-1]
            return _cut(scores, *_ranked(scores, (scores >= least).nonzero()[:, 0]), sampling)
        for count in FIRST:
            if size > 2 * count and (found := _beginning(scores, sampling, u, count)) is not None:
                return found
    values, ids = scores.sort(stable=True)
    return _cut(scores, values.flip(0), ids.flip(0), sampling)


def draw(filtered: Filtered, u: float) -> Tensor:
    """The place in the ranking ``(1,)`` at which the cumulated probability passes ``u``."""
    cumulated = _cumulated(filtered.values, filtered.normaliser)
    if not filtered.complete:
        return torch.searchsorted(cumulated, torch.full_like(cumulated[:1], u), right=True)
    total = cumulated[-1:]  # a little off 1; below it, so that what has no probability is never reached
    below = torch.minimum(total * u, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulated, below, right=True)


def _cumulated(values: Tensor, normaliser: Tensor) -> Tensor:
    """Probabilities added up along the ranking, in float64."""
    return (values - normaliser).double().exp().cumsum(0)


def _ranked(scores: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Scores of ``ids`` (ascending) and the ids themselves, from the largest score down."""
    values, order = scores[ids].sort(stable=True)
    return values.flip(0), ids[order].flip(0)


def _cut(scores: Tensor, values: Tensor, ids: Tensor, sampling: Sampling) -> Filtered:
    """Top-k, top-p and min-p on a ranking that holds at least what top-k keeps."""
    size, length = scores.shape[0], len(values)
    places = torch.arange(length, device=values.device)
    top_k: Tensor | int = size
    if 0 < sampling.top_k < size:
        top_k = (values >= values[sampling.top_k - 1]).sum()
        values = values.masked_fill(places >= top_k, _NOTHING)
    top_p = top_k
    if sampling.top_p < 1:
        removed = values.flip(0).softmax(0).cumsum(0) <= 1 - sampling.top_p
        removed[-1] = False
        top_p = length - removed.sum()
        values = values.masked_fill(places >= top_p, _NOTHING)
    min_p = top_p
    if sampling.min_p > 0:
        probabilities = values.softmax(0)
        min_p = (probabilities >= sampling.min_p * probabilities[0]).sum().clamp(min=1)
        values = values.masked_fill(places >= min_p, _NOTHING)
    return Filtered(scores, ids, values, values.logsumexp(0), top_k, top_p, min_p, complete=True)


def _beginning(scores: Tensor, sampling: Sampling, u: float, count: int) -> Filtered | None:
    """The same without top-k from the first ``count`` ranks alone; None when they do not decide it."""
    size = scores.shape[0]
    best, ids = scores.topk(count + 1)
    ids = ids[best > best[-1]].sort().values  # of tokens that equal the last one, some may be missing
    if not len(ids):
        return None
    values, ids = _ranked(scores, ids)
    whole = scores.logsumexp(0)
    probabilities = (values - whole).exp()
    cumulated = _cumulated(values, whole)
    top_p = min_p = size
    if sampling.top_p < 1:
        top_p = min_p = 1 + int((cumulated < sampling.top_p).sum())
        if top_p > len(ids) or float((cumulated - sampling.top_p).abs().min()) < SLACK:
            return None
    if sampling.min_p > 0:
        reached = int((probabilities >= sampling.min_p * probabilities[0]).sum())
        if reached == len(ids) and top_p == size:
            return None
        min_p = max(1, min(top_p, reached))
    if min_p == size:
        return Filtered(scores, ids, values, whole, size, size, size, False) if u < float(cumulated[-1]) else None
    values = values[:min_p]
    return Filtered(scores, ids[:min_p], values, values.logsumexp(0), size, top_p, min_p, complete=True)


def choose(logits: Tensor, sampling: Sampling, seen: Tensor, u: float, candidates: int) -> tuple[Tensor, Tensor]:
    """Draw from ``logits`` ``(vocabulary,)``, float32, with the number ``u``.

    ``seen`` holds the ids of the whole sequence. Returns the id ``(1,)`` on the logits' device and the row that
    :func:`read` reads, there too or on the host; its float32 holds ids below 2^24 exactly. Logits that are no numbers
    give a row that :func:`read` gives None for.
    """
    size, home = logits.shape[0], logits.device
    if not has_float64(home):
        logits, seen = logits.cpu(), seen.cpu()  # a token's logits are few, and the host shares that memory
    own = logits.logsumexp(0)  # NaN or infinite when a logit is NaN or +inf, or when all are -inf
    if own.device.type == "cpu" and not math.isfinite(own):
        return torch.zeros(1, dtype=torch.long, device=home), own[None]
    lengths: tuple[Tensor | int, ...]
    if sampling.greedy:
        scores = penalise(logits, seen, sampling.repetition_penalty)
        chosen = ids = scores.argmax(0, keepdim=True)
        whole = normaliser = own if scores is logits else scores.logsumexp(0)
        lengths = (size, size, 1)
    else:
        kept = warp(logits, sampling, seen, u)
        chosen = kept.ids[draw(kept, u).clamp(max=len(kept.ids) - 1)]
        scores, normaliser, ids = kept.scores, kept.normaliser, kept.ids
        whole = own if scores is logits else scores.logsumexp(0)
        lengths = (kept.top_k, kept.top_p, kept.min_p)
    shown = torch.cat([logits.topk(min(candidates, size)).indices, chosen])
    mine = logits[chosen]
    rank = (logits > mine).sum() + 1
    drawn = scores[chosen] - normaliser
    numbers: list[Tensor | int] = [own, chosen[0], (mine - own)[0], rank, _entropy(logits, own), drawn[0], *lengths]
    head = torch.stack([_number(entry, logits) for entry in numbers])
    values = scores[shown]
    columns = (shown, logits[shown] - own, values - whole, values - normaliser, _places(shown, ids, size))
    return chosen.to(home), torch.cat([head, torch.stack([column.float() for column in columns], 1).flatten()])


def read(row: Sequence[float], greedy: bool) -> Token | None:
    """What a row of :func:`choose` says, without place and texts; None when the logits were no numbers.

    Of its candidates the most probable come first, then the token itself unless it is among them.
    """
    if not math.isfinite(row[0]):
        return None
    chosen, logprob, rank, entropy, drawn = row[1:6]
    lengths = row[6:9]
    options: dict[int, Candidate] = {}
    for start in range(9, len(row), 5):
        ident, own, tempered, final, place = row[start : start + 5]
        if greedy:
            cut = "" if ident == chosen else "greedy"
            final = 0.0
        else:
            cut = next((name for name, length in zip(_CUTS, lengths, strict=True) if place >= length), "")
        left = 0.0 if cut else math.exp(final)
        options[int(ident)] = Candidate(int(ident), "", math.exp(own), math.exp(tempered), left, cut)
    kept, candidates = int(lengths[2]), tuple(options.values())
    return Token(0, int(chosen), "", logprob, drawn, int(rank), entropy, kept, False, candidates)


def score(logits: Tensor, ids: Tensor, candidates: int) -> Tensor:
    """Rows for tokens that were given: ``ids`` ``(places,)`` under ``logits`` ``(places, vocabulary)``, float32."""
    own = logits.logsumexp(1, keepdim=True)
    chosen = ids[:, None]
    mine = logits.gather(1, chosen)
    best = logits.topk(min(candidates, logits.shape[1]), 1)
    shown, logprobs = torch.cat([best.indices, chosen], 1), torch.cat([best.values, mine], 1) - own
    rank = (logits > mine).sum(1, keepdim=True) + 1
    head = (own, chosen, mine - own, rank, _entropy(logits, own)[:, None])
    return torch.cat([*(column.float() for column in head), torch.stack([shown, logprobs], 2).flatten(1)], 1)


def read_score(row: Sequence[float]) -> Token | None:
    """What a row of :func:`score` says, as :func:`read`."""
    if not math.isfinite(row[0]):
        return None
    chosen, logprob, rank, entropy = row[1:5]
    options = {
        int(ident): Candidate(int(ident), "", math.exp(own), math.exp(own), math.exp(own))
        for ident, own in zip(row[5::2], row[6::2], strict=True)
    }
    return Token(0, int(chosen), "", logprob, None, int(rank), entropy, None, True, tuple(options.values()))


def _number(entry: Tensor | int, like: Tensor) -> Tensor:
    """A number of a row; filled in where it is needed, since sending it there would wait."""
    if isinstance(entry, Tensor):
        return entry.float()
    return torch.full((), entry, dtype=torch.float32, device=like.device)


def _places(shown: Tensor, ids: Tensor, size: int) -> Tensor:
    """Where ``shown`` stand in the ranking ``ids``; behind all that can be cut where they do not."""
    if len(ids) > 2 * FIRST[0]:
        places = torch.full((size,), size - 1, device=ids.device)
        places[ids] = torch.arange(len(ids), device=ids.device)
        return places[shown]
    met = shown[:, None] == ids
    return torch.where(met.any(1), met.int().argmax(1), size - 1)


def _entropy(logits: Tensor, normaliser: Tensor) -> Tensor:
    """In nats, over the last dimension: the normaliser less the mean logit, of which -inf has no part."""
    mean = ((logits - normaliser).exp() * logits.clamp(min=-1e30)).sum(-1)
    return ((normaliser.squeeze(-1) if normaliser.dim() else normaliser) - mean).clamp(min=0)
