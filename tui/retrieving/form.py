"""The form that a retrieval starts from: a collection, an encoder, and the rankers to compare."""

from __future__ import annotations

from tui.comparing.form import CompareForm, Layout
from tui.retrieving import values
from tui.retrieving.looking import SeenCollection, look


class RetrieveForm(CompareForm):
    """With the first document and query beside the fields."""

    LAYOUT = Layout(
        prefix="re",
        go="Build and judge the rankers",
        sections=(
            ("collection", ("data",)),
            ("encoder", ("encoder", "length")),
            ("rankers", ("methods", "mode", "hard_negatives", "epochs", "seed")),
        ),
        labels={"methods": "compare", "mode": "train", "length": "tokens at most"},
        hints={
            "data": "workshop, a folder, or owner/name on the Hub",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "length": "of a document",
            "hard_negatives": "for each query, found by BM25; 0 for none",
            "epochs": "at most; 0 for what suits",
            "seed": "decides what is held out, and the batches",
        },
        explained=(
            "BM25 counts words. The frozen encoder compares vectors: of its first token ([CLS]), or the mean of all. "
            "Hybrid fuses the ranks of BM25 and mean. Trained learns from the train queries: a projection takes "
            "seconds, the whole encoder minutes and, without a GPU, patience. A folder of your own texts (.txt, .md) "
            "can be searched too.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=values.FIELDS,
        problems=values.problems,
        nothing=SeenCollection(),
        look=look,
        looked_at=("data",),
    )
    DEFAULT_CSS = """
    RetrieveForm .fields { width: 3fr; max-width: 66; }
    RetrieveForm .side { width: 2fr; }
    """
