"""Names and colours of the routes."""

from __future__ import annotations

ROUTES = {
    "majority": "majority class",
    "tfidf": "TF-IDF + LR",
    "lr": "logistic reg.",
    "mlp": "MLP",
    "finetune": "fine-tuned",
}
"""names of the routes in a column of 14"""
COLOURS = {
    "majority": "bright_black",
    "tfidf": "bright_magenta",
    "lr": "bright_cyan",
    "mlp": "bright_yellow",
    "finetune": "bright_green",
}
