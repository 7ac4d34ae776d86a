"""The report of the lab: what a student hands in, as a page of Markdown and the same as HTML."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints.store import CheckpointError
from engine.lab import sections
from engine.lab.sections import Section
from engine.markdown import code, fenced, quote, table, text
from engine.report import curves, html, page
from engine.report.page import MADE
from engine.runs import owner

if TYPE_CHECKING:
    from checkpoints.run import Run
    from engine.lab.exercise import Exercise, Outcome, Verdict, Work
    from engine.lab.progress import Lab
    from engine.lab.results import Results

PAGE, HTML, TITLE = "lab.md", "lab.html", "Report of the lab"
OUTCOMES: tuple[Outcome, ...] = ("holds", "does not hold", "could be chance", "not tested")


def write(lab: Lab, folder: Path, pictures: Mapping[str, str] = {}) -> Path:
    """Write the report into ``folder``: both pages and their pictures; returns the page of Markdown.

    ``pictures`` are SVG of panes, by name of file. Files are replaced as a whole, once all are written; what else is
    there stays. Raises :class:`checkpoints.store.CheckpointError` for a page of that name that is not of this program,
    and :class:`OSError`.
    """
    target = folder / PAGE
    for one in (target, folder / HTML):
        if one.exists() and MADE not in one.read_text("utf-8", "replace"):
            raise CheckpointError(f"{one} is not a report of this program: choose another folder with --out")
    drawn: dict[str, str] = {}
    quick = " It is of the quick lab: fewer steps, rows and seeds than the whole one." if lab.quick else ""
    lines = [f"# {TITLE}", "", f"Of {date.today().isoformat()}, {MADE}.{quick}", ""]
    lines += _summary(lab.results, lab.exercises)
    for exercise in lab.exercises:
        lines += _exercise(lab, exercise, drawn)
    if pictures:
        lines += ["## Pictures of panes", "", *(f"![{Path(name).stem}]({name})\n" for name in pictures)]
    lines += [*_origins(lab), *_machines(lab.found)]
    drawn |= pictures
    whole = "\n".join(lines)
    folder.mkdir(parents=True, exist_ok=True)
    files = {**drawn, HTML: html.render(whole, TITLE, drawn), PAGE: whole}
    with tempfile.TemporaryDirectory(prefix=".lab-", dir=folder) as temporary:
        for name, content in files.items():
            Path(temporary, name).write_text(content, "utf-8", "replace")
        for name in files:
            Path(temporary, name).replace(folder / name)
    return target


def _summary(results: Results, exercises: Sequence[Exercise]) -> list[str]:
    """Every claim with what came of it here."""
    judged = [(one.number, *claim) for one in exercises for claim in _claims(one, results)]
    counts = Counter(verdict.outcome for *_, verdict in judged)
    rows = [
        (number, text(claim), text(notebook) if notebook else "–", f"**{verdict.outcome}**", text(verdict.why))
        for number, claim, notebook, verdict in judged
    ]
    return [
        "## Claims",
        "",
        f"Claims: {len(judged)}. " + ", ".join(f"{one}: {counts[one]}" for one in OUTCOMES).capitalize() + ".",
        "",
        *table(("exercise", "claim", "found in the course", "outcome here", "because"), rows),
        "",
    ]


def _claims(exercise: Exercise, results: Results) -> Iterator[tuple[str, str, Verdict]]:
    """Text, what was found in the course, and verdict of each claim."""
    for step in exercise.steps:
        if step.claim is not None:
            yield step.claim.text, step.claim.notebook, step.claim.judge(results)


def _exercise(lab: Lab, exercise: Exercise, drawn: dict[str, str]) -> list[str]:
    """Text, answer, claims and works of an exercise; its pictures are added to ``drawn``."""
    done = sum(state.state == "done" for step in exercise.steps if (state := lab.steps.get(step.name)))
    answer = lab.answers.get(exercise.number, "").strip()
    lines = [
        f"## {exercise.number} {text(exercise.title)}",
        "",
        text(exercise.text),
        "",
        f"Steps done: {done} of {len(exercise.steps)}.",
        "",
        "### Answer",
        "",
        f"*{text(exercise.question)}*",
        "",
        *(quote(answer) if answer else ["Not answered yet."]),
        "",
    ]
    if claims := [*_claims(exercise, lab.results)]:
        lines += ["### Claims", ""]
        lines += [f"- **{found.outcome.capitalize()}**: {text(claim)} {text(found.why)}" for claim, _, found in claims]
        lines += [""]
    for work in exercise.works:
        lines += _work(lab, exercise, work, drawn)
    return lines


def _work(lab: Lab, exercise: Exercise, work: Work, drawn: dict[str, str]) -> list[str]:
    """Figures, curves, texts and commands of a work, or how it is done."""
    run, found = lab.found.get(work.name), _section(lab, work)
    state = lab.works.get(work.name, "not started")
    if work.task == "ladder" and found is not None:
        return []  # its figures are among those of the temperatures
    lines = [f"### {text(work.title)}", ""]
    if found is None or state != "done":
        mark = state if state in ("running", "failed") else "not done" if found is None else "not finished"
        command = f"llmlab-tui lab run --exercise {exercise.number}{' --quick' * lab.quick}"
        lines += [f"**{mark.capitalize()}.** To do it: `{command}`, or key 8 in the program.", ""]
    if found is None:
        return lines
    own, commands = dict(found.pictures), found.commands
    if run is not None:
        own |= page.pictures_of(run, curves.read(run))
        commands = [page.command_of(owner.task_of(run)[0], page.spec_of(run))]
    for name, picture in own.items():
        drawn[f"{work.name}-{name}"] = picture
        lines += [f"![{work.name} {Path(name).stem}]({work.name}-{name})", ""]
    return [*lines, *found.lines, "To repeat it:", "", *fenced("\n".join(commands), "bash"), ""]


def _section(lab: Lab, work: Work) -> Section | None:
    """What there is of a work; None of one that has no results."""
    results = lab.results
    match work.task:
        case "train":
            return sections.training(results.training) if results.training else None
        case "verse":
            return sections.verse(results.verse) if results.verse else None
        case "tokens":
            return sections.tokens(results.tokens, lab.guesses) if results.tokens else None
        case "ladder" | "temperatures":
            return sections.temperatures(results.temperatures) if results.temperatures else None
    found = results.comparisons.get(work.name)
    return sections.comparison(found) if found else None


def _origins(lab: Lab) -> list[str]:
    """Run, seeds and data of everything that was computed."""
    rows: list[tuple[Any, ...]] = []
    for work in (work for exercise in lab.exercises for work in exercise.works):
        if (run := lab.found.get(work.name)) is not None:
            task, record = owner.task_of(run)
            facts = page.facts_of(run, curves.read(run), task)
            data = facts.get("data set") or facts.get("corpus")
            rows.append((text(work.title), code(run.name), code(record.get("seed")), data, facts.get("SHA-256")))
    if (verse := lab.results.verse) is not None:
        rows.append(("Verse", code(verse.run), code(verse.seed), code(verse.corpus.name), None))
    if (ladder := lab.results.temperatures) is not None:
        seeds = dict.fromkeys(seed for rung in ladder.rungs for seed in rung.seeds)
        rows.append(("Temperatures", code(ladder.model), " ".join(map(code, seeds)), code(ladder.source), None))
    if not rows:
        return []
    return ["## Runs, seeds and data", "", *table(("work", "run or model", "seeds", "data", "SHA-256"), rows), ""]


def _machines(runs: Mapping[str, Run]) -> list[str]:
    """Machine and versions of this process and of the runs, each value once."""
    found = {"this report": owner.environment()} | {run.name: run.read_json("env.json") for run in runs.values()}
    origins: dict[tuple[str, Any], list[str]] = {}
    for origin, values in found.items():
        for name, value in values.items():
            origins.setdefault((name, str(value)), []).append(origin)
    rows = [
        (code(name), code(value), "all" if len(of) == len(found) else ", ".join(map(code, of)))
        for (name, value), of in sorted(origins.items())
    ]
    return ["## Machine and versions", "", *table(("what", "value", "of"), rows), ""]
