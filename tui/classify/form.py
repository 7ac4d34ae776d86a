"""The form that a classification starts from: a data set with its columns, an encoder, and the routes to compare."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.widget import Widget
from textual.widgets import Static

from engine.features import POOLING_HELP
from tui.classify import values
from tui.classify.looking import SeenTable, ask_hub, look
from tui.comparing.form import CompareForm, Layout
from tui.comparing.ticks import Picker

COLUMNS = ("text_column", "label_column")
HEADS = {"lr": ("logistic regression", "LR"), "mlp": ("MLP", "MLP"), "finetune": ("fine-tune", "fine-tune")}


class ClassifyForm(CompareForm):
    """With a picker of columns, and the first rows beside it."""

    LAYOUT = Layout(
        prefix="cl",
        go="Run the routes",
        sections=(
            ("data set", ("data", "test", "text_column", "label_column", "limit")),
            ("features", ("encoder", "pooling")),
            ("routes", ("heads", "class_weights", "seed")),
        ),
        labels={"test": "test file", "limit": "rows at most", "heads": "train"},
        hints={
            "data": "helpdesk, a file, a folder, or owner/name on the Hub",
            "test": "only if it lies in a file of its own",
            "limit": "of each split; 0 for all",
            "encoder": "auto, minilm, a folder, or a name on the Hub",
            "seed": "decides splits, batches and dropout",
        },
        explained=(
            "The encoder stays as it is for logistic regression and MLP: their features are computed once and kept. "
            "Fine-tuning trains all of it: best, and slowest by far without a GPU. The majority class and TF-IDF with "
            "logistic regression always run beside them.\n"
            "↑↓ or Tab between fields, ←→ choose, Space ticks, F1 for help."
        ),
        fields=values.FIELDS,
        problems=values.problems,
        nothing=SeenTable(),
        look=look,
        looked_at=("data", "test", *COLUMNS, "limit", "seed"),
        names=HEADS,
        meanings={"pooling": POOLING_HELP},
    )
    DEFAULT_CSS = "ClassifyForm .fields { min-width: 42; }"
    seen: SeenTable

    def widget(self, name: str, ident: str) -> Widget:
        if name in COLUMNS:
            return Picker(("auto",), values.FIELDS.defaults[name], id=ident)
        return super().widget(name, ident)

    def more_facts(self) -> ComposeResult:
        yield Static(classes="rows")

    def put(self, name: str, value: str) -> None:
        if name in COLUMNS:
            self.field(name).offer(tuple(dict.fromkeys([*self.seen.columns, *([value] if value != "auto" else [])])))
        super().put(name, value)

    def entered(self, name: str) -> None:
        """Enter in the name of a data set on the Hub looks it up first."""
        given = self.given()
        if name == "data" and values.kind_of(given["data"]) == "hub" and not self.seen.columns:
            self.know(given, SeenTable(note="asking the Hub…"))
            self.look(given, ask_hub)
        else:
            self.start_or_tell()

    def saw(self) -> None:
        if self.seen.columns:
            for name in COLUMNS:
                self.field(name).offer(self.seen.columns)
        self.query_one(".rows", Static).update(self.seen.first_rows())
