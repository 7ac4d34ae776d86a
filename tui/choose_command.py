"""``llmlab-tui choose``: methods for multiple-choice questions compared, without the screen."""

from __future__ import annotations

from typing import Any

from checkpoints.run import Run
from engine.choose.spec import ChooseSpec
from engine.runs.events import Classified
from engine.runs.listing import partial
from tui.driven import drive
from tui.output import say
from tui.spec_options import options


@options(
    ChooseSpec,
    "data model encoder method pooling margin uninformative seeds limit length epochs learning_rate seed name",
)
def choose(spec: ChooseSpec, *, json: bool, quiet: bool) -> int:
    """Compare methods that answer multiple-choice questions by ranking the choices.

    Chance and the longest choice are always included; each method is also evaluated with the question hidden and with
    the choices shuffled.
    """
    from engine.choose import runs as choose_runs

    return resume(choose_runs.create(spec), as_json=json, quiet=quiet, fresh=True)


def resume(run: Run, *, as_json: bool, quiet: bool, fresh: bool = False) -> int:
    """Rank the questions of a run, from what is cached on."""
    from engine.choose import runs as choose_runs

    return drive(run, choose_runs.drive, _table, as_json=as_json, quiet=quiet, fresh=fresh)


def _table(last: Classified) -> None:
    say(f"{'method':<20} {'accuracy':>8}  {'95% interval':<13} {'n':>7}  {'hidden':>7}  {'seeds':<15} {'seconds':>8}")
    for method, result in last.results.items():
        say(
            f"{method:<20} {_figures(result)} {_hidden(result)}  {_seeds(result):<15} {result['seconds']:>8.1f}"
            f"{partial(result)}"
        )
        for way, each in result.get("ways", {}).items():
            say(f"  {'by ' + way:<18} {_figures(each)}")


def _figures(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return f"{result['accuracy']:>8.4f}  {low:.4f}-{high:.4f} {result['items']:>7,} "


def _hidden(result: dict[str, Any]) -> str:
    """Accuracy with the question hidden."""
    return f"{result['question_hidden']['accuracy']:>7.4f}" if "question_hidden" in result else f"{'':>7}"


def _seeds(result: dict[str, Any]) -> str:
    """How many were averaged, and the standard deviation of their accuracies."""
    spread = result.get("spread")
    return f"{len(result['seeds'])}, ±{spread:.4f}" if spread is not None else ""
