"""``llmlab-tui classify`` and ``predict``: the comparison of routes and its use, without the screen."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from checkpoints import home
from checkpoints import run as runs
from checkpoints.run import Run
from engine.events import Classified
from tui import piped
from tui.driven import BAD_INPUT, DONE, complain, drive
from tui.output import print_json, say
from tui.text import safe

_Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object a line on stdout.")]
_Flag = Parameter(negative="")


def classify(
    *,
    data: str = "helpdesk",
    test: str = "",
    text_column: str = "",
    label_column: str = "",
    encoder: str = "auto",
    pooling: Literal["cls", "mean", "max", "last", "last4", "all"] = "mean",
    head: Annotated[list[Literal["lr", "mlp", "finetune"]] | None, Parameter(negative="")] = None,
    class_weights: Annotated[bool, _Flag] = False,
    limit: int = 0,
    length: int = 128,
    epochs: int = 4,
    learning_rate: float = 0.0,
    curve: Annotated[bool, _Flag] = False,
    suspects: Annotated[bool, _Flag] = False,
    seed: int = 1337,
    name: str = "",
    json: _Json = False,
    quiet: Annotated[bool, _Flag] = False,
) -> int:
    """Compare text classifiers: baselines, heads on frozen features of a pre-trained encoder, fine-tuning.

    Majority class and TF-IDF with logistic regression are always included.

    Parameters
    ----------
    data
        helpdesk (bundled), a CSV, TSV, JSON lines or Parquet file, a folder with train, validation and test, or a name
        on the Hugging Face Hub.
    test
        A file with the test split.
    text_column
        Column of the texts; found by its name if not given.
    label_column
        Column of the labels; found by its name if not given.
    encoder
        minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm.
    pooling
        How token vectors are combined: cls, mean, max, last (for GPT-2), last4 (means of the last four layers), all.
    head
        lr, mlp or finetune; repeat the option for several. Default: lr and mlp.
    class_weights
        Weight classes inversely to their frequency in training.
    limit
        Maximum rows of each split; 0 for all.
    length
        Maximum tokens of a text; the rest is cut.
    epochs
        Maximum epochs of fine-tuning.
    learning_rate
        Peak learning rate of fine-tuning; 0 chooses by the width of the encoder.
    curve
        Also train on 8, 16, 32, ... labels per class.
    suspects
        Also report training rows whose label is probably wrong.
    seed
        Seed of splits, initial weights, order and dropout.
    name
        Name of the run; defaults to task and data.
    quiet
        Print errors only.
    """
    from engine import classify_run
    from engine.classify import ClassifySpec

    spec = ClassifySpec(
        data=data,
        test=test,
        text_column=text_column,
        label_column=label_column,
        encoder=encoder,
        pooling=pooling,
        heads=tuple(dict.fromkeys(head or ("lr", "mlp"))),
        class_weights=class_weights,
        limit=limit,
        seed=seed,
        length=length,
        epochs=epochs,
        learning_rate=learning_rate,
        curve=curve,
        suspects=suspects,
        name=name,
    )
    return resume(classify_run.create(spec), as_json=json, quiet=quiet, fresh=True)


def resume(run: Run, *, as_json: bool, quiet: bool, fresh: bool = False) -> int:
    """Train the routes of a run, from what is cached on."""
    from engine import classify_run

    return drive(run, classify_run.drive, _table, as_json=as_json, quiet=quiet, fresh=fresh)


def predict(
    run: str,
    text: Annotated[list[str] | None, Parameter(allow_leading_hyphen=True, negative="")] = None,
    /,
    *,
    json: _Json = False,
) -> int:
    """Classify texts with every trained method of a run.

    Parameters
    ----------
    run
        Name, path or latest.
    text
        One or more texts; without any, or with -, each line of stdin.
    """
    from engine.classifier import Classifier
    from engine.encoders import NoEncoder

    classifier = Classifier(runs.find(home.runs(), run))
    texts = text if text and text != ["-"] else piped.lines()
    try:
        found = classifier.predict(texts)
    except NoEncoder as error:
        return complain(str(error), BAD_INPUT)
    classes = classifier.classes
    for number, each in enumerate(texts):
        if not json and len(texts) > 1:
            say(safe(each, lines=False))
        for route in classifier.routes:
            shares = found[route][number]
            best = int(shares.argmax())
            if json:
                told = {name: round(float(share), 6) for name, share in zip(classes, shares, strict=True)}
                record = {"event": "predicted", "text": each, "route": route, "class": classes[best]}
                print_json({**record, "probabilities": told})
                continue
            order = shares.argsort()[::-1][:4]
            rest = "  ".join(f"{safe(classes[place], lines=False)} {shares[place]:.3f}" for place in order)
            say(f"  {route:<9} {rest}")
    if json:
        print_json({"event": "finished", "reason": "done", "texts": len(texts), "routes": classifier.routes})
    return DONE


def _table(last: Classified) -> None:
    say(
        f"{'route':<10} {'accuracy':>8}  {'95% interval':<15} {'macro F1':>8}  {'log loss':>8}  {'seconds':>8}  trained"
    )
    for route, result in last.results.items():
        low, high = result["interval"]
        say(
            f"{route:<10} {result['accuracy']:>8.4f}  {low:.4f}-{high:.4f}   {result['macro_f1']:>8.4f}  "
            f"{result['log_loss']:>8.4f}  {result['seconds']:>8.1f}  {result['trained_parameters']:,}"
        )
    if last.verdict:
        say(last.verdict)
