"""``llmlab-tui choose``: methods for multiple-choice questions compared, without the screen."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from checkpoints.run import Run
from engine.events import Classified
from tui.driven import drive
from tui.output import say

_Json = Annotated[bool, Parameter(name="--json", negative="", help="One JSON object a line on stdout.")]
_Flag = Parameter(negative="")


def choose(
    *,
    data: str = "everyday",
    model: str = "bundled",
    encoder: str = "auto",
    method: Annotated[
        list[Literal["zero-shot", "margin", "cross-entropy", "finetune"]] | None, Parameter(negative="")
    ] = None,
    pooling: Literal["cls", "mean", "max", "last", "last4", "all"] = "mean",
    margin: float = 0.2,
    uninformative: str | None = None,
    seeds: int = 3,
    limit: int = 0,
    length: int = 128,
    epochs: int = 3,
    learning_rate: float = 0.0,
    seed: int = 1337,
    name: str = "",
    json: _Json = False,
    quiet: Annotated[bool, _Flag] = False,
) -> int:
    """Compare methods that answer multiple-choice questions by ranking the choices.

    Chance and the longest choice are always included; each method is also evaluated with the question hidden and with
    the choices shuffled.

    Parameters
    ----------
    data
        everyday (bundled), a JSON lines, CSV or Parquet file, a folder with train and validation, or a name on the
        Hugging Face Hub, such as tau/commonsense_qa or allenai/ai2_arc:ARC-Easy.
    model
        Causal language model for zero-shot: bundled (a character model of Dante: near chance on English), gpt2, a run,
        a folder, or a name on the Hub.
    encoder
        minilm (bundled), a folder, a name on the Hub, or auto: DistilBERT if available, else minilm.
    method
        zero-shot, margin, cross-entropy or finetune; repeat the option for several. Default: margin and
        cross-entropy.
    pooling
        How token vectors are combined: cls, mean, max, last (for GPT-2), last4 (means of the last four layers), all.
    margin
        Margin of the ranking loss.
    uninformative
        Prompt without the question, for PMI. Default: "Answer:", or empty where choices continue the question.
    seeds
        Number of trainings of each scorer, each with its own seed.
    limit
        Maximum questions of each split; 0 for all.
    length
        Maximum tokens of question and choice; the rest is cut.
    epochs
        Maximum epochs of fine-tuning.
    learning_rate
        Peak learning rate of fine-tuning; 0 chooses by the width of the encoder.
    seed
        Seed of splits, initial weights, order and dropout.
    name
        Name of the run; defaults to task and data.
    quiet
        Print errors only.
    """
    from engine import choose_run
    from engine.choices import USUAL, ChooseSpec

    spec = ChooseSpec(
        data=data,
        methods=tuple(dict.fromkeys(method or USUAL)),
        model=model,
        encoder=encoder,
        pooling=pooling,
        length=length,
        margin=margin,
        seeds=seeds,
        uninformative=uninformative,
        limit=limit,
        seed=seed,
        epochs=epochs,
        learning_rate=learning_rate,
        name=name,
    )
    return resume(choose_run.create(spec), as_json=json, quiet=quiet, fresh=True)


def resume(run: Run, *, as_json: bool, quiet: bool, fresh: bool = False) -> int:
    """Rank the questions of a run, from what is cached on."""
    from engine import choose_run

    return drive(run, choose_run.drive, _table, as_json=as_json, quiet=quiet, fresh=fresh)


def _table(last: Classified) -> None:
    say(f"{'method':<20} {'accuracy':>8}  {'95% interval':<14} {'hidden':>7}  {'seeds':<15} {'seconds':>8}")
    for method, result in last.results.items():
        say(f"{method:<20} {_figures(result)} {_hidden(result)}  {_seeds(result):<15} {result['seconds']:>8.1f}")
        for way, each in result.get("ways", {}).items():
            say(f"  {'by ' + way:<18} {_figures(each)}")
    if last.verdict:
        say(last.verdict)


def _figures(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return f"{result['accuracy']:>8.4f}  {low:.4f}-{high:.4f} "


def _hidden(result: dict[str, Any]) -> str:
    """Accuracy with the question hidden."""
    return f"{result['question_hidden']['accuracy']:>7.4f}" if "question_hidden" in result else f"{'':>7}"


def _seeds(result: dict[str, Any]) -> str:
    """The lowest and highest of the seeds."""
    seeds = result.get("seeds", [])
    return f"{min(seeds):.4f}-{max(seeds):.4f}" if seeds else ""
