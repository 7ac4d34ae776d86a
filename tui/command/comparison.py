"""``llmlab-tui classify``, ``choose`` and ``retrieve``: comparisons of methods, without the screen."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from checkpoints.run import Run
from engine.choose.spec import ChooseSpec
from engine.classify.spec import ClassifySpec
from engine.retrieve.spec import RetrieveSpec
from engine.runs import owner
from engine.runs.events import Classified
from engine.runs.listing import partial
from engine.runs.spec import BadSpec, Problem
from tui.command.driven import DONE, drive
from tui.command.options import Json, Quiet, options
from tui.output import print_message, say
from tui.text import safe


@options(ClassifySpec)
def classify(spec: ClassifySpec, *, json: Json = False, quiet: Quiet = False) -> int:
    """Compare text classifiers: baselines, heads on frozen features of a pre-trained encoder, fine-tuning.

    Majority class and TF-IDF with logistic regression are always included.
    """
    return _compare(spec, json=json, quiet=quiet)


@options(ChooseSpec)
def choose(spec: ChooseSpec, *, json: Json = False, quiet: Quiet = False) -> int:
    """Compare methods that answer multiple-choice questions by ranking the choices.

    Chance and the longest choice are always included; each method is also evaluated with the question hidden and with
    the choices shuffled.
    """
    return _compare(spec, json=json, quiet=quiet)


@options(RetrieveSpec)
def retrieve(
    spec: RetrieveSpec,
    *,
    json: Json = False,
    quiet: Quiet = False,
    trec: Annotated[
        Path | None,
        Parameter(
            help="Write the rankings as a TREC run file; of several methods one file each, such as run.bm25.txt."
        ),
    ] = None,
) -> int:
    """Compare search methods on a collection: BM25, a frozen encoder, both fused, and a trained bi-encoder."""
    from engine.retrieve.export import write_trec

    if trec is not None and (trec.is_dir() or not trec.absolute().parent.is_dir()):
        raise BadSpec([Problem("trec", f"{trec}: the folder does not exist")])
    run = _create(spec)
    code = resume(run, spec.task, as_json=json, quiet=quiet, fresh=True)
    if trec is not None and code == DONE:
        for file in write_trec(run, trec):
            print_message(f"wrote {file}")
    return code


def _compare(spec: ClassifySpec | ChooseSpec | RetrieveSpec, *, json: bool, quiet: bool) -> int:
    return resume(_create(spec), spec.task, as_json=json, quiet=quiet, fresh=True)


def _create(spec: ClassifySpec | ChooseSpec | RetrieveSpec) -> Run:
    run: Run = import_module(f"engine.{spec.task}.runs").create(spec)
    return run


def resume(run: Run, task: str, *, as_json: bool, quiet: bool, fresh: bool = False) -> int:
    """Do what is left of a comparison, from what is cached on."""
    several = owner.hands_over(str(run.spec().get("gpus", "1")))
    work = owner.launch if several else import_module(f"engine.{task}.runs").drive
    return drive(run, work, _TABLES[task], as_json=as_json, quiet=quiet, fresh=fresh)


def _classify_table(last: Classified) -> None:
    say(
        f"{'method':<10} {'accuracy':>8}  {'95% interval':<13} {'n':>7}  {'macro F1':>8}  {'log loss':>8}  "
        f"{'seconds':>8}  {'trained':<11} seeds"
    )
    for method, result in last.results.items():
        low, high = result["interval"]
        line = (
            f"{method:<10} {result['accuracy']:>8.4f}  {low:.4f}-{high:.4f} {result['rows']:>7,}  "
            f"{result['macro_f1']:>8.4f}  {result['log_loss']:>8.4f}  {result['seconds']:>8.1f}  "
            f"{result['trained_parameters']:<11,} {_seeds(result)}"
        )
        say(line.rstrip())
    _encodings(last)


def _choose_table(last: Classified) -> None:
    say(f"{'method':<20} {'accuracy':>8}  {'95% interval':<13} {'n':>7}  {'hidden':>7}  {'seeds':<15} {'seconds':>8}")
    for method, result in last.results.items():
        say(
            f"{method:<20} {_figures(result)} {_hidden(result)}  {_seeds(result):<15} {result['seconds']:>8.1f}"
            f"{partial(result)}"
        )
        for way, each in result.get("ways", {}).items():
            say(f"  {'by ' + way:<18} {_figures(each)}")
    _encodings(last)


def _encodings(last: Classified) -> None:
    for done in last.encodings:
        say(safe(str(done), lines=False))


def _figures(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return f"{result['accuracy']:>8.4f}  {low:.4f}-{high:.4f} {result['items']:>7,} "


def _hidden(result: dict[str, Any]) -> str:
    return f"{result['question_hidden']['accuracy']:>7.4f}" if "question_hidden" in result else f"{'':>7}"


def _seeds(result: dict[str, Any]) -> str:
    """How many were averaged, and the standard deviation of their accuracies."""
    spread = result.get("spread")
    return f"{len(result['seeds'])}, ±{spread:.4f}" if spread is not None else ""


def _retrieve_table(last: Classified) -> None:
    if not last.results:
        return
    count = f"95%, n={max(one['queries'] for one in last.results.values()):,}"
    widest = max(8, *map(len, last.results))
    say(
        f"{'method':<{widest}} {'nDCG@10':>8}  {count:<13} {'R@100':>7} {'MRR@10':>7} {'MAP@100':>7} "
        f"{'queries/s':>9} {'index':>9} {'seconds':>8}"
    )
    for name, one in last.results.items():
        low, high = one["interval"]
        say(
            f"{name:<{widest}} {one['ndcg@10']:>8.4f}  {low:.3f}-{high:.3f}   {one['recall@100']:>7.4f} "
            f"{one['mrr@10']:>7.4f} {one['map@100']:>7.4f} {one['queries_per_second']:>9.0f} "
            f"{one['index_bytes'] / 1e6:>6.1f} MB {one['seconds']:>8.1f}"
        )
    _encodings(last)


_TABLES = {"classify": _classify_table, "choose": _choose_table, "retrieve": _retrieve_table}
