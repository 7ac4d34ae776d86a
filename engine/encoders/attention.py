"""Attention of the encoders of ``transformers`` under a padding mask that is taken as it comes."""

from __future__ import annotations

from typing import Any

PADDED = "sdpa_padded"
"""the name under which ``transformers`` knows it"""


def take_masks_as_given(model: Any) -> None:
    """Let a model that uses torch's scaled dot-product attention not ask whether a padding mask masks anything.

    ``transformers`` leaves out a mask that masks nothing. To know it, the host waits for the device in every batch.
    The same attention with the same mask is registered under a name of its own; the results do not change.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(PADDED, sdpa_attention_forward)
        AttentionMaskInterface.register(PADDED, _mask)
        model.set_attn_implementation(PADDED)


def _mask(*sizes: Any, **options: Any) -> Any:
    from transformers.masking_utils import sdpa_mask

    if options.get("attention_mask") is not None:
        options.update(allow_is_causal_skip=False, allow_is_bidirectional_skip=False)
    return sdpa_mask(*sizes, **options)
