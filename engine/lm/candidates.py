"""One place of a sequence: what the model held, what the settings left, what was drawn, as one row of numbers.

The row is made where the logits are and the host reads it in one go: one transfer a token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from engine.lm import processors
from engine.lm.sampling import Sampling
from engine.runs.events import Candidate, Token

_CUTS = ("top_k", "top_p", "min_p")


def choose(logits: Tensor, sampling: Sampling, seen: Tensor, u: float, candidates: int) -> tuple[Tensor, Tensor]:
    """Draw from ``logits`` ``(vocabulary,)``, float32, with the number ``u``.

    ``seen`` holds the ids of the whole sequence. Returns the id ``(1,)`` and the row that :func:`read` reads, on the
    logits' device. Logits that are no numbers give a row that :func:`read` gives None for.
    """
    size = logits.shape[0]
    own = logits.logsumexp(0)  # NaN or infinite when a logit is NaN or +inf, or when all are -inf
    if own.device.type == "cpu" and not math.isfinite(own):
        return torch.zeros(1, dtype=torch.long), own[None].double()
    lengths: tuple[Tensor | int, ...]
    if sampling.greedy:
        scores = processors.penalise(logits, seen, sampling.repetition_penalty)
        chosen = ids = scores.argmax(0, keepdim=True)
        whole = normaliser = own if scores is logits else scores.logsumexp(0)
        lengths = (size, size, 1)
    else:
        kept = processors.warp(logits, sampling, seen, u)
        chosen = kept.ids[processors.draw(kept, u).clamp(max=len(kept.ids) - 1)]
        scores, normaliser, ids = kept.scores, kept.normaliser, kept.ids
        whole = own if scores is logits else scores.logsumexp(0)
        lengths = (kept.top_k, kept.top_p, kept.min_p)
    shown = torch.cat([logits.topk(min(candidates, size)).indices, chosen])
    mine = logits[chosen]
    rank = (logits > mine).sum() + 1
    drawn = scores[chosen] - normaliser
    numbers: list[Tensor | int] = [own, chosen[0], (mine - own)[0], rank, _entropy(logits, own), drawn[0], *lengths]
    head = torch.stack([torch.as_tensor(entry, dtype=torch.float64, device=logits.device) for entry in numbers])
    values = scores[shown]
    columns = (shown, logits[shown] - own, values - whole, values - normaliser, _places(shown, ids, size))
    return chosen, torch.cat([head, torch.stack([column.double() for column in columns], 1).flatten()])


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
    return torch.cat([*(column.double() for column in head), torch.stack([shown, logprobs], 2).flatten(1)], 1)


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


def _places(shown: Tensor, ids: Tensor, size: int) -> Tensor:
    """Where ``shown`` stand in the ranking ``ids``; behind all that can be cut where they do not."""
    if len(ids) > 2 * processors.FIRST[0]:
        places = torch.full((size,), size - 1, device=ids.device)
        places[ids] = torch.arange(len(ids), device=ids.device)
        return places[shown]
    met = shown[:, None] == ids
    return torch.where(met.any(1), met.int().argmax(1), size - 1)


def _entropy(logits: Tensor, normaliser: Tensor) -> Tensor:
    """In nats, over the last dimension: the normaliser less the mean logit, of which -inf has no part."""
    mean = ((logits - normaliser).exp() * logits.clamp(min=-1e30)).sum(-1)
    return ((normaliser.squeeze(-1) if normaliser.dim() else normaliser) - mean).clamp(min=0)
