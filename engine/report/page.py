"""A run as one page of Markdown with pictures: what was asked for, what came of it, and how it is repeated."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from engine.markdown import code, fenced, table, text, without_folder
from engine.report import curves, methods, svg
from engine.report.curves import LABELS, Story
from engine.report.export import results_page
from engine.report.tables import of_results
from engine.runs import notes, owner
from engine.runs.listing import figure
from engine.runs.spec import Spec, options

PAGE, MADE = "report.md", "made with llmlab-tui"
_TITLES = {
    "train": "Training of a GPT from scratch",
    "classify": "Comparison of text classifiers",
    "choose": "Comparison of methods for multiple choice",
    "retrieve": "Comparison of search methods",
}
_ENTROPIES = {"uniform_entropy": "uniform", "unigram_entropy": "letter frequencies", "bigram_entropy": "bigrams"}
_COUNTED = {"classify": "rows", "choose": "questions", "retrieve": "queries"}
_ENDS = {"steps": "finished, all steps done", "early_stop": "finished early, without a better validation loss"}
ROWS = 12  # of the table of losses


def write(run: Run, folder: Path, steps: Sequence[int] = ()) -> Path:
    """Write the report of ``run`` into ``folder``, and return the page.

    ``steps`` are those whose samples are shown: for each the last sample until then. Without any these are the first,
    that of the best checkpoint and the last. What else is in ``folder`` stays. Files are named without the folders of
    the machine. Raises :class:`checkpoints.store.CheckpointError` and :class:`OSError`.
    """
    page = folder / PAGE
    if page.exists() and MADE not in page.read_text("utf-8", "replace"):
        raise CheckpointError(f"{page} is not a report of this program: choose another folder with --out")
    task, record = owner.task_of(run)
    story, about = curves.read(run), notes.read(run)
    branched = f", branched from {code(record['parent'])}" if record.get("parent") else ""
    spec = spec_of(run)
    pictures = dict(pictures_of(run, story))
    figures = _training(story) if task == "train" else _comparison(run, story, task)
    lines = [
        f"# {text(about.title) or code(run.name)}",
        "",
        f"{_TITLES[task]}, {MADE}: run {code(run.name)}{branched}.",
        *(f"Tag {code(tag)}." for tag in about.tags),
        "",
        *([*fenced(about.note), ""] if about.note else []),
        *(f"![{name.removesuffix('.svg')}]({name})\n" for name in pictures),
        *figures,
        *(_samples(story, steps) if task == "train" else ()),
        *_data(run, story, task),
        *_settings(task, spec, record),
        "## Machine and versions",
        "",
        *table(("what", "value"), [(code(name), code(value)) for name, value in run.read_json("env.json").items()]),
        "",
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).write_text(picture, "utf-8")
    page.write_text("\n".join(lines), "utf-8", "replace")
    return page


def spec_of(run: Run) -> Spec:
    """The spec of a run, of the class of its task. Raises as :func:`engine.runs.owner.spec_as` does."""
    return owner.spec_as(run, owner.kind_of(owner.task_of(run)[0]))


def command_of(task: str, spec: Any) -> str:
    """The command that makes a run like that of ``spec``: its fields that differ from the defaults, or the preset's."""
    base, values = type(spec)(), {}
    if task == "train":
        from engine.gpt.spec import PRESETS

        base = type(spec)(**PRESETS.get(spec.preset, {}))
    for name, known in options(type(spec)).items():
        value = getattr(spec, name)
        if value != getattr(base, name) and value is not None:
            values[known.name or name] = value
    words = []
    for name, value in values.items():
        option = f"--{name.replace('_', '-')}"
        if task != "train" and isinstance(value, bool):
            words.append(option)
        else:
            each = value if isinstance(value, tuple) else (value,)
            words += [f"{option} {quoted(str(without_folder(one)))}" for one in each]
    return " ".join(["llmlab-tui", task, *words])


def quoted(word: str) -> str:
    """A word for bash, in one line that shows every character of it."""
    if word.isprintable():
        return shlex.quote(word)
    marks = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\", "'": "\\'"}
    shown = (marks.get(one) or (one if one.isprintable() else f"\\U{ord(one):08x}") for one in word)
    return f"$'{''.join(shown)}'"


def pictures_of(run: Run, story: Story) -> Iterator[tuple[str, str]]:
    """Curves of a run as SVG: names of files and their content."""
    if story.train or story.validation:
        lines = []
        if story.train:
            points = [(one.x, one.loss) for one in story.train]
            band = [(one.x, one.low, one.high) for one in story.train]
            lines.append(svg.Line("training", points, band))
        if earlier := curves.before(run):
            lines.append(svg.Line("validation, parent", earlier))
        lines.append(svg.Line("validation", story.validation, dots=len(story.validation) <= 60))
        rules = [(at, name) for key, name in _ENTROPIES.items() if (at := figure(story.begun.get(key))) is not None]
        yield "loss.svg", svg.plot(lines, LABELS["step"], "loss, nats per character", title=run.name, rules=rules)
    trained = [svg.Line(name, points, dots=len(points) <= 60) for name, points in story.methods.items()]
    if trained:
        measure = methods.MEASURES[owner.task_of(run)[0]]
        yield "methods.svg", svg.plot(trained, "step", f"{measure} on held-out rows", title=run.name)


def _training(story: Story) -> list[str]:
    best, last, begun = story.best, dict(story.evaluations[-1]) if story.evaluations else {}, story.begun
    if not best:
        return ["There is no evaluation yet.", ""]
    tokens = begun.get("validation_tokens")
    of = f"exact, over all {tokens:,} tokens" if type(tokens) is int else "–"
    loss = float(best["val_loss"])
    rows: list[tuple[Any, ...]] = [
        ("**best validation loss**, nats per character", f"**{loss:.4f}**", f"step {best['step']:,}; {of}"),
        ("bits per character", loss / math.log(2), f"step {best['step']:,}"),
        ("perplexity per character", math.exp(min(loss, 700.0)), f"step {best['step']:,}"),
        ("last validation loss, nats per character", float(last["val_loss"]), f"step {last['step']:,}"),
    ]
    rows += [
        (f"loss of a guess by {name}" if key != "uniform_entropy" else "loss of a uniform guess", value, "")
        for key, name in _ENTROPIES.items()
        if (value := figure(begun.get(key))) is not None
    ]
    if type(begun.get("parameters")) is int:
        rows.append(("parameters", begun["parameters"], ""))
    reason = story.ended.get("reason")
    return [
        "## Figures",
        "",
        f"State: {_ENDS.get(str(reason)) or text(reason or 'not ended')}.",
        "",
        *table(("figure", "value", "of"), rows),
        "",
        "## Losses",
        "",
        *table(("step", "training, nats per character", "validation"), list(_losses(story))),
        "",
    ]


def _losses(story: Story) -> Iterator[tuple[Any, ...]]:
    """Evaluations near round steps: step, mean of the training losses since the one before, validation loss."""
    last = max(1, story.evaluations[-1]["step"])
    places = [*svg.ticks(0, last, ROWS), last]
    shown = [max((one["step"] for one in story.evaluations if one["step"] <= at), default=None) for at in places]
    for one in story.evaluations:
        if one["step"] in shown:
            yield one["step"], figure(one.get("train_loss")), float(one["val_loss"])


def _comparison(run: Run, story: Story, task: str) -> list[str]:
    """Verdict, methods with intervals, all figures and paired tests of a comparison."""
    found = methods.methods_of(run)
    if not found:
        return ["No method is finished yet.", ""]
    best = max(found, key=lambda one: one.figure)
    rows = [
        (f"**{code(one.method)}**" if one is best else code(one.method), one.figure, [one.low, one.high], one.n)
        for one in found
    ]
    verdict = story.ended.get("verdict")
    return [
        *([text(verdict), ""] if verdict else []),
        "## Methods",
        "",
        *table(("method", found[0].measure, "95% interval", f"{_COUNTED[task]} judged"), rows),
        "",
        *(line.replace("## Results", "## All figures") for line in results_page(of_results(run))),
        "",
        "The intervals of differences are bootstrapped over items; p is adjusted for all pairs (Holm).",
        "",
    ]


def _samples(story: Story, steps: Sequence[int]) -> list[str]:
    """Samples of chosen steps, as they are."""
    if not story.samples:
        return []
    ordered = sorted(story.samples, key=lambda one: one["step"])
    if steps:
        found = [[one for one in ordered if one["step"] <= step][-1:] for step in steps]
    else:
        until = [one for one in ordered if one["step"] <= story.best.get("step", 0)]
        found = [ordered[:1], until[-1:], ordered[-1:]]
    lines = ["## Samples", ""]
    for key in dict.fromkeys((one["step"], one["sample"]) for some in found for one in some):
        one = next(one for one in ordered if (one["step"], one["sample"]) == key)
        lines += [f"Step {one['step']:,}, after the prompt {code(repr(one['prompt']))}:", "", *fenced(one["text"]), ""]
    return lines if len(lines) > 2 else []


def facts_of(run: Run, story: Story, task: str) -> dict[str, Any]:
    """What the run worked on, as cells by name, with the fingerprint that says whether it is the same elsewhere."""
    begun, corpus = story.begun, run.read_json("corpus.json")
    if task == "train":
        source = {**begun, **corpus}
        names = {"corpus": "corpus", "characters": "characters", "distinct": "distinct characters"}
        names |= {"train_tokens": "training tokens", "validation_tokens": "validation tokens"}
    else:
        source = {**begun}
        names = {"data": "data set", "judged_split": "judged split", "train": "training rows", "held_out": "held out"}
        names |= {"judged": "judged", "documents": "documents", "encoder": "encoder"}
    names |= {"source": "source", "fingerprint": "SHA-256"}
    return {title: _shown(source[name]) for name, title in names.items() if source.get(name) not in (None, "", 0)}


def _data(run: Run, story: Story, task: str) -> list[str]:
    """What the run worked on, and what was changed or noticed in it."""
    begun, corpus = story.begun, run.read_json("corpus.json")
    told = [*_texts(begun.get("checks")), *_texts(begun.get("repairs")), *_texts(corpus.get("cuts"))]
    return [
        "## Data",
        "",
        *table(("fact", "value"), facts_of(run, story, task).items()),
        "",
        *(f"- {text(one)}" for one in told),
        *([""] if told else []),
    ]


def _settings(task: str, spec: Spec, record: Mapping[str, Any]) -> list[str]:
    """Every field, and the command that repeats the run."""
    values = {entry.name: getattr(spec, entry.name) for entry in dataclasses.fields(spec)}  # type: ignore[arg-type]
    rows = [
        (code(name), code(value) if type(value) is int else _shown(value))
        for name, value in values.items()
        if name in record
    ]
    exact = "A training has the same losses to the bit" if task == "train" else "The seed decides splits and weights"
    return [
        "## Settings",
        "",
        *table(("field", "value"), rows),
        "",
        "## Repeat it",
        "",
        *fenced(command_of(task, spec), "bash"),
        "",
        f"{exact}, on the same data, machine and versions.",
        "",
    ]


def _shown(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(code(without_folder(one)) for one in value) or "–"
    if type(value) in (int, bool) or value is None:
        return value
    value = without_folder(value)
    return code(repr(value) if isinstance(value, str) and not value.isprintable() else value)


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
