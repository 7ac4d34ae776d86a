"""The command line. stdout is data, stderr is narration; exit 0 done, 1 failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError

from checkpoints import home, store
from checkpoints import run as runs
from checkpoints.lock import Locked
from checkpoints.store import CheckpointError
from data.encodings import TextError
from data.vocabulary import UnknownCharacterError
from engine.bench.setup import Setup
from engine.gpt import branch as branches
from engine.gpt import runs as gpt_runs
from engine.gpt.spec import PRESETS, TrainSpec, build, read_toml
from engine.lm.find import LoadingStopped, NoModel
from engine.runs import owner, queue
from engine.runs.listing import summarise
from engine.runs.messages import SetLearningRate
from engine.runs.several import combinations
from engine.runs.spec import BadSpec, Problem, options
from engine.tokenization.encoding import NoTokenizer
from tui import units
from tui.command.cache import cache
from tui.command.comparison import choose, classify, retrieve
from tui.command.comparison import resume as resume_comparison
from tui.command.config import config
from tui.command.driven import BAD_INPUT, DONE, FAILED, code_of, complain, drive
from tui.command.fetch import fetch
from tui.command.generate import generate, sweep
from tui.command.interrupt import INTERRUPTED
from tui.command.lab import lab
from tui.command.narrate import Narrator
from tui.command.options import Json, ModelName, Quiet, RunName, asked, flowing
from tui.command.predict import predict, suspects
from tui.command.queue import add_to_queue
from tui.command.queue import queue as queue_app
from tui.command.rank import rank
from tui.command.reports import compare, export_metrics, report
from tui.command.runs import runs as runs_app
from tui.command.search import search
from tui.command.tokenize import tokenize
from tui.output import SafeStream, on_terminal, print_json, print_message, print_text, say
from tui.terminal import QUIET

_BAD = (BadSpec, TextError, CheckpointError, Locked, UnknownCharacterError, runs.NoSuchRun, NoTokenizer, NoModel)

_SHARED = ("own", "resume", *owner.TASKS)
"""commands whose work torchrun may share out among several processes"""

app = App(
    name="llmlab-tui",
    help="Train, inspect and compare language models. Without a command the full-screen program opens.",
    version_flags=["--version"],
    result_action="return_value",
    help_format="plaintext",  # the parser of Markdown would take a third of the time of --help
)


def main(arguments: list[str]) -> int:
    """Run a command and return its exit code. Nothing the user does wrong ends in a traceback."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    with contextlib.redirect_stderr(sys.stderr and SafeStream(sys.stderr)):
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    try:
        if os.environ.get("RANK", "0") != "0" and arguments[0] in _SHARED:
            return _work_for_rank_0()
        code = app(arguments, exit_on_error=False, print_error=False)
    except (KeyboardInterrupt, LoadingStopped):
        return INTERRUPTED
    except UnusedCliTokensError as error:
        return complain(f"unexpected argument: {' '.join(error.unused_tokens or ())}", BAD_INPUT)
    except (CycloptsError, *_BAD) as error:
        return complain(str(error), BAD_INPUT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return complain(f"{where}{error.strerror or error}", BAD_INPUT)
    except Exception as error:
        if (known := code_of(error)) is not None:
            return complain(str(error), known)
        print_message(traceback.format_exc())
        return FAILED
    return int(code or 0)


def _work_for_rank_0() -> int:
    """What a command does in the other processes that torchrun has started for it."""
    from engine.other_ranks import serve
    from engine.ranks import RankLost

    try:
        serve()
    except RankLost as error:
        return complain(str(error), FAILED)
    return DONE


@app.command
@asked(TrainSpec, PRESETS)
def train(
    given: dict[str, Any],
    *,
    config: Annotated[
        Path | None, Parameter(help="A TOML file with fields; options on the command line override it.")
    ] = None,
    branch: Annotated[
        str,
        Parameter(
            name="--from",
            help="Continue a checkpoint, RUN@STEP, RUN@best or RUN@last, as a new run with the fields that are given.",
        ),
    ] = "",
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train a GPT from scratch on a text file, without the screen.

    A number may have several values: --learning-rate 1e-3,3e-3 --seed 1..3 puts six runs into the queue, which
    processes of their own train; see llmlab-tui queue.
    """
    each = combinations(TrainSpec, {**(read_toml(config) if config else {}), **given})
    given = each[0]
    if len(each) > 1 and "RANK" in os.environ:
        raise BadSpec([Problem("", "several values of a field make a queue: start it without torchrun, with --gpus")])
    if branch:
        if len(each) > 1:
            made = runs.all_or_none(partial(branches.branch, branch, one) for one in each)
            return add_to_queue(made, gpt_runs.spec_of(made[0]), as_json=json, quiet=quiet)
        run = branches.branch(branch, given)
        hands_over = owner.hands_over(gpt_runs.spec_of(run).gpus)
        work = gpt_runs.launch if hands_over else partial(gpt_runs.drive, resume=True)
        return drive(run, work, as_json=json, quiet=quiet, fresh=True)
    for one in each:
        build(one, preset_for_auto="nano")  # what is wrong by itself is told before torch is loaded
    from engine.device import best_device
    from engine.machine import preset_for

    wanted = str(given.get("device", "auto"))
    chosen, reason = preset_for(best_device() if wanted == "auto" else wanted)
    spec = build(given, preset_for_auto=chosen)
    if given.get("preset", "auto") == "auto" and not (quiet or json):
        print_message(f"{reason}, so auto uses {chosen}")
    if len(each) > 1:
        gpt_runs.check_corpus(spec)
        made = gpt_runs.create_each([build(one, preset_for_auto=chosen) for one in each])
        return add_to_queue(made, spec, as_json=json, quiet=quiet)
    run = gpt_runs.create(spec)
    work = gpt_runs.launch if owner.hands_over(spec.gpus) else partial(gpt_runs.drive, resume=False)
    return drive(run, work, as_json=json, quiet=quiet, fresh=True)


@app.command
def fields() -> int:
    """List every field of a training run with its default."""
    for name, known in options(TrainSpec).items():
        choices = f" ({', '.join(known.listed)})" if known.choices else ""
        unit = f", {known.unit}" if known.unit else ""
        say(f"--{name.replace('_', '-'):<18} {known.help}{choices}{unit} [{getattr(TrainSpec, name)!r}]")
    return DONE


@app.command
def resume(
    run: RunName,
    *,
    steps: int | None = None,
    learning_rate: float | None = None,
    gpus: str | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Resume a run from its newest undamaged checkpoint; training continues exactly.

    Parameters
    ----------
    steps
        Train up to this step; give more steps than before to continue a finished run.
    learning_rate
        New peak learning rate.
    gpus
        Other number of GPUs than before, or all.
    """
    found = runs.find(home.runs(), run)
    task, _ = owner.task_of(found)
    if task != "train":
        if steps is not None or learning_rate is not None or gpus is not None:
            told = f"{found.name} is a run of {task}: --steps, --learning-rate and --gpus are for trainings only"
            raise BadSpec([Problem("", told)])
        return resume_comparison(found, task, as_json=json, quiet=quiet)
    spec = gpt_runs.spec_of(found)
    summary = summarise(found)
    changed = replace(spec, steps=steps if steps is not None else spec.steps, gpus=gpus or spec.gpus)
    asked = replace(changed, learning_rate=learning_rate if learning_rate is not None else spec.learning_rate)
    if problems := asked.validate():
        raise BadSpec(problems)
    if summary.reason == "steps" and summary.step >= changed.steps:
        told = f"{found.name} has finished its {summary.step:,} steps; give more with --steps"
        raise BadSpec([Problem("steps", told)])
    begun = bool(store.checkpoints(found.checkpoints)) or owner.journal_size(found) > 0
    first = [SetLearningRate(learning_rate)] if learning_rate is not None else []
    work = gpt_runs.launch if owner.hands_over(changed.gpus) else partial(gpt_runs.drive, resume=begun)
    work = partial(work, spec=changed if changed != spec else None)
    fresh = not begun and found.name not in queue.names()  # a run of a queue stays in the list, with its failure
    return drive(found, work, messages=first, as_json=json, quiet=quiet, fresh=fresh)


@app.command(show=False)
def own(run: str) -> int:
    """Own a run of any task and continue it: the process that the screen starts, without output but errors."""
    return resume(run, quiet=True)


@app.command
def export(
    run: ModelName, folder: Path, *, checkpoint: str = "best", method: str = "", half: bool = False, force: bool = False
) -> int:
    """Write what a run has trained as a folder that another program loads.

    A training becomes a folder for AutoModelForCausalLM and AutoTokenizer of transformers; classify its fine-tuned
    model or a head with its encoder, choose its fine-tuned encoder, each with a README that shows its use; retrieve a
    bi-encoder for sentence-transformers.

    Parameters
    ----------
    folder
        Where to write: a new or empty folder, or one that holds an export of the same run.
    checkpoint
        Of a training: best, last or a step.
    method
        Of a classification: finetune, lr or mlp. Default: finetune, or else the better head on validation.
    half
        Of a training: store float16.
    force
        Write into a folder that holds something else; files of the same names are replaced.
    """
    from engine.gpt.trained import load, write_export
    from tui.panes import runs_of

    task = "train"
    if run != "bundled" and not (Path(run).expanduser() / "config.json").is_file():
        task, _ = owner.task_of(runs.find(home.runs(), run))
    wrong = {
        "checkpoint": checkpoint != "best" and task != "train",
        "half": half and task != "train",
        "method": bool(method) and task != "classify",
    }
    if problems := [Problem(field, f"not for a run of {task}") for field, given in wrong.items() if given]:
        raise BadSpec(problems)
    if task != "train":
        print_message(runs_of(task).export(runs.find(home.runs(), run), folder, method=method, force=force))
        say(str(folder.absolute()))
        return DONE
    trained = load(run, which=checkpoint)
    write_export(trained, folder, half=half, force=force)
    if trained.notice:
        print_message(f"warning: {trained.notice}")
    print_message(f"exported {trained.source} (validation loss {units.loss(trained.val_loss)})")
    say(str(folder.absolute()))
    return DONE


@app.command
def sample(
    run: ModelName,
    *,
    prompt: str = "\n",
    length: int = 500,
    seed: int = 1337,
    temperature: float = 0.8,
    checkpoint: str = "best",
    json: Json = False,
) -> int:
    """Sample text from a trained model to stdout.

    Parameters
    ----------
    prompt
        Text to continue.
    length
        Characters to sample.
    seed
        The same seed gives the same text.
    temperature
        0 is greedy.
    checkpoint
        best, last or a step.
    """
    problems = [
        Problem(field, "must not be " + what)
        for field, bad, what in (
            ("length", length < 1, "less than 1"),
            ("temperature", temperature < 0, "negative"),
            ("prompt", not prompt, "empty; use a line break"),
        )
        if bad
    ]
    if problems:
        raise BadSpec(problems)
    from engine.gpt.trained import load, take_sample
    from engine.runs.events import Notice, SampleText

    narrator = Narrator(as_json=json)
    for event in take_sample(load(run, which=checkpoint), prompt, length, seed, temperature):
        if json or isinstance(event, Notice):
            narrator.tell(event)
        elif isinstance(event, SampleText):
            print_text(event.text)
    if not json and on_terminal():
        say("")
    return DONE


for command in (
    tokenize, classify, predict, suspects, choose, rank, retrieve, search, generate, sweep, compare, export_metrics,
    report, lab, runs_app, queue_app, fetch, cache, config,
):  # fmt: skip
    app.command(command)

app.register_install_completion_command(
    help="Install completion of commands and options for bash, zsh or fish, the shell in use by default."
)


@app.command
def doctor(*, json: Json = False) -> int:
    """Print versions, device, terminal and paths, for a bug report."""
    from tui.command.doctor import report

    facts = report(torch=True)
    if json:
        print_json(facts)
    else:
        for section, entries in facts.items():
            say(section)
            for key, value in entries.items():
                say(f"  {key:<16} {value}")
    return DONE


@app.command
def bench(
    what: Literal["start", "train", "ui", "save", "decode", "zero-shot", "encode", "search", "panes", "peers", "gpu"],
    *,
    json: Json = False,
    seconds: float = 20.0,
    model: str = "",
    data: str = "",
    nanogpt: str = "",
    device: str = "auto",
    quick: bool = False,
    only: tuple[str, ...] = (),
    corpus: str = "dantesque",
    out: Path | None = None,
) -> int:
    """Run a benchmark: start-up, training, the screen, saving, decoding, encoding or search. The last line is JSON.

    Parameters
    ----------
    what
        start (first paint), train (against the bare loop, and the parts of a step), ui (training with and without the
        screen), save (stalls), decode (against transformers' generate and the memory bus), zero-shot (items per second
        of Choose, against one forward for each choice), encode (against sentence-transformers), search (exact, among
        100,000 vectors), panes (what Classify, Choose and Retrieve send while they work), peers (training against
        nanoGPT, decode and encode; nothing is fetched), gpu (what a GPU computes, against the CPU, and its speed: at
        most 8 minutes).
    seconds
        For ui: approximate duration.
    model
        For decode and zero-shot, any model; by default GPT-2's 124M shape with random weights, and for decode
        SmolLM2's too. For encode, any encoder; by default minilm.
    data
        For zero-shot: multiple-choice questions, as for choose; by default the bundled ones.
    nanogpt
        For peers: the folder of a checkout of nanoGPT.
    device
        auto, cuda, cuda:N or cpu.
    quick
        Small models and few steps, to rehearse: the figures mean nothing.
    only
        For gpu: a part to run, in place of all; may be given several times.
    corpus
        The text that is trained on, a file, dante or dantesque.
    out
        For gpu: write everything into this file, as JSON.
    """
    from tui.command.bench import check_gpu, measure

    setup = Setup(device, quick, corpus, model, nanogpt, seconds, data)
    return check_gpu(setup, only, out, as_json=json) if what == "gpu" else measure(what, setup, as_json=json)


def commands(parent: App = app) -> Iterator[tuple[str, App]]:
    """Every command with its words, those of groups such as ``runs tag`` after the group."""
    for name in parent:
        if not name.startswith("-"):
            yield name, parent[name]
            yield from ((f"{name} {inner}", command) for inner, command in commands(parent[name]))


for _, shown in commands():
    if shown.default_command is not None:
        shown.default_command.__doc__ = flowing(shown.default_command.__doc__ or "")
