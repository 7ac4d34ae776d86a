"""Help of the fields that the specs of several tasks have."""

from __future__ import annotations

ENCODER = "minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm."
POOLING = (
    "How token vectors are combined: cls, mean, max, last (for GPT-2), last4 (means of the last four layers), all."
)
SEED = "Seed of splits, initial weights, order and dropout."
EPOCHS = "Maximum epochs of fine-tuning."
RATE = "Peak learning rate of fine-tuning; 0 chooses by the width of the encoder."
NAME = "Name of the run; defaults to task and data."
