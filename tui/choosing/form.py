"""The form that a ranking starts from: questions, methods, and the models that they stand on."""

from __future__ import annotations

from engine.features import POOLING_HELP
from tui.choosing import values
from tui.choosing.looking import SeenItems, look
from tui.comparing.form import CompareForm, Layout


class ChooseForm(CompareForm):
    """With the first question beside the fields."""

    LAYOUT = Layout(
        prefix="ch",
        go="Run the methods",
        sections=(
            ("questions", ("data", "limit")),
            ("methods", ("methods", "seed")),
            ("trained", ("encoder", "pooling", "margin", "seeds")),
            ("zero-shot", ("model",)),
        ),
        labels={"limit": "items at most", "methods": "run", "model": "language model"},
        hints={
            "data": "everyday, a file, a folder, or owner/name on the Hub",
            "limit": "of each split; 0 for all",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "margin": "by which the right choice should lead",
            "seeds": "trainings of each scorer",
            "model": "bundled, gpt2, a run, a folder, or a name",
            "seed": "decides splits, batches and dropout",
        },
        explained=(
            "A ranker gives every choice a score and takes the highest. Zero-shot: how probable a causal language "
            "model finds it after the question. Margin and cross-entropy: a small scorer on features of an encoder "
            "that stays as it is. Fine-tuning trains all of the encoder: best, and slowest by far without a GPU. "
            "Chance, the longest choice and the question hidden always run beside them.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=values.FIELDS,
        problems=values.problems,
        nothing=SeenItems(),
        look=look,
        looked_at=("data", "limit", "seed"),
        meanings={"pooling": POOLING_HELP},
    )
