"""What a model can take: token positions by architecture, and ids that have an embedding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.tokenization.encoding import Tokenizer

UNLIMITED = 1 << 20
"""stands for the positions of a model that has no limit"""
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
# Their positions are counted from the id of padding plus one, so that many rows of the table stand for no token.
_FROM_PADDING = {"camembert", "data2vec-text", "ibert", "lilt", "longformer", "luke", "mluke", "roberta"}
_FROM_PADDING |= {"roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"}


def positions(config: Mapping[str, Any]) -> int | None:
    """Tokens of a text that a model with this ``config.json`` takes at most, special tokens included.

    A table of RoBERTa's kind has two rows more than it takes tokens. None where nothing is a limit: relative positions
    (DeBERTa v3), none at all (Mamba), or a config that names no number.
    """
    kind = config.get("model_type")
    if kind in ("deberta", "deberta-v2") and config.get("position_biased_input") is False:
        return None
    found = [limit for key in _POSITIONS if isinstance(limit := config.get(key), int) and limit > 0]
    if not found:
        return None
    unused = 0
    if kind == "mpnet":  # whatever its config says of padding
        unused = 2
    elif kind in _FROM_PADDING or (kind == "esm" and config.get("position_embedding_type", "absolute") == "absolute"):
        pad = config.get("pad_token_id")
        unused = (pad if isinstance(pad, int) else 1) + 1
    return max(1, min(found) - unused)


def without_embedding(ids: Iterable[int], embeddings: int, tokenizer: Tokenizer, name: str) -> str:
    """What is wrong with the first of ``ids`` that the model ``name`` has no embedding for; empty where all have one.

    ``embeddings``: how many the model has. Tokens that were added to a tokenizer but not to its model are such ids.
    """
    bad = next((token for token in ids if not 0 <= token < embeddings), None)
    if bad is None:
        return ""
    spelled = f" ({tokenizer.token(bad)!r})" if tokenizer.token(bad) else ""
    return f"the token {bad}{spelled} has no embedding in {name}, which has {embeddings:,}: ids 0 to {embeddings - 1:,}"
