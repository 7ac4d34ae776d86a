"""One run from its first start to its end: disturbed a few times, damaged in between, finished, compared."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from checkpoints import run as runs
from storm import damage, faults, server, workloads
from storm.faults import (
    FAIL,
    FSYNC,
    MKDIR,
    READ_OPEN,
    RENAME,
    SHORT,
    SIGNAL_AFTER,
    SIGNAL_BEFORE,
    UNLINK,
    WRITE,
    WRITE_OPEN,
    Faults,
    Rule,
)
from storm.server import Server
from storm.workloads import Result, Workload

HANG = 20.0  # seconds without any work of the processor after which a process counts as hanging
TRIES = 4  # undisturbed starts until a run has to be finished
BAD = re.compile(r"Traceback|Exception ignored|Fatal Python error|panicked|Segmentation fault")
OURS = re.compile(r"^llmlab-tui: ", re.MULTILINE)
TEMPORARY = re.compile(r"^(tmp-|\.tmp|old-|\.deleted-)|\.(tmp|old)$")
ENDING = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
PLACES = (
    "",
    "",
    "",
    "",
    "",
    "",
    "/checkpoints/",
    "events.jsonl",
    "/cache/",
    ".json",
    ".safetensors",
    "/inbox",
    "lock",
    "corpus",
)


class Violation(Exception):
    """Something that was promised did not hold."""


@dataclass
class Storm:
    """What all cycles share."""

    folder: Path
    server: Server
    faults: Faults
    workloads: list[Workload]
    undisturbed: dict[str, Result] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    """of an undisturbed run under its folder, by kind"""
    counts: Counter[str] = field(default_factory=Counter)
    twice: bool = True
    """run each workload twice undisturbed: the first imports what it needs, the second tells how long it takes"""

    def reference(self, workload: Workload) -> Result:
        """What an undisturbed run comes to; it is run at the first call."""
        if workload.name not in self.undisturbed:
            folder = self.folder / "undisturbed" / workload.name
            for turn in (
                "cold",
                "warm",
            ):  # the first imports what the workload needs, the second tells how long it takes
                home = folder / turn
                run = runs.create(home / "runs", workload.name, workload.spec, {})
                self.faults.confine(home)
                before = self.faults.calls()
                self.faults.arm([Rule(tuple(range(len(faults.CALLS))), FAIL, 0, probability=0.0)], random.Random(0))
                begun = time.monotonic()
                process = self.server.start(resume(run.path), home, folder / f"{turn}.log", folder / "modules.json")
                process.wait(600)
                self.seconds[workload.name] = time.monotonic() - begun
                calls = {kind: count - before[kind] for kind, count in self.faults.calls().items()}
                self.calls[workload.name] = calls
                self.faults.disarm()
                if process.status != 0:
                    raise RuntimeError(
                        f"{workload.name} ends with {process.status}: {(folder / f'{turn}.log').read_text()}"
                    )
                self.server.load(json.loads((folder / "modules.json").read_text()))
                found = workloads.result(workload.task, run.path)
                held = self.undisturbed.setdefault(workload.name, found)
                if told := held.differences(found):
                    raise RuntimeError(f"two undisturbed runs of {workload.name} differ: {'; '.join(told)}")
        return self.undisturbed[workload.name]


def resume(run: Path) -> list[str]:
    """The command that owns a run, as the screen starts it."""
    return ["own", str(run)]


class Cycle:
    """One run. ``gentle`` disturbs by calls only, never by the clock, so that it goes the same way each time."""

    def __init__(self, storm: Storm, seed: int, workload: Workload | None = None, *, gentle: bool = False) -> None:
        self.storm, self.seed, self.gentle = storm, seed, gentle
        self.rng = random.Random(f"storm/{seed}")
        picked = self.rng.choice(storm.workloads)
        self.workload = workload or picked
        self.expected = storm.reference(self.workload)
        self.folder = storm.folder / f"cycle-{seed}"
        self.home = self.folder / "home"
        self.history: list[str] = []
        """what was done and what came of it, for whoever looks into a violation"""
        self.damages: list[damage.Damage] = []
        """that may be refused and were not taken back"""
        self.replaced: set[Path] = set()
        """paths at which the storm put what is no file, or no folder"""
        self.run = Path()
        self.attempts, self.damaged = 0, 0
        self.journal_damaged = self.figures_damaged = False
        self.newest = -1
        """step of the newest whole checkpoint"""
        self.spoiled: dict[int, str] = {}
        """digests of ``state.json`` of checkpoints that were damaged, by step"""
        self.entries: set[str] = set()
        """methods in ``results.json`` when the last start had ended"""
        self.older: dict[str, Any] | None = None
        """what stood there when something was damaged, perhaps what says which data the figures are of"""

    # -- from the first start to the end -----------------------------------------------------------------------------

    def go(self) -> None:
        """The whole cycle. Raises :class:`Violation`; its folder stays then."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.run = runs.create(self.home / "runs", self.workload.name, self.workload.spec, {}).path
        self.storm.faults.confine(self.home)
        try:
            finished = False
            for _ in range(self.rng.randint(2, 7)):
                finished = self._disturbed()
                if finished:
                    break
                if self.rng.random() < 0.45:
                    self._damage()
            if not finished or (self.workload.task != "train" and self.rng.random() < 0.3):
                self._to_the_end()
            self._compare()
            self.storm.counts[f"equal to the bit: {self.workload.name}"] += 1
        except BaseException:
            (self.folder / "history.txt").write_text("\n".join(self.history) + "\n")
            raise
        shutil.rmtree(self.folder)

    def _disturbed(self) -> bool:
        """One start that is disturbed; whether it finished all the same."""
        kinds = ["moments"] * (not self.gentle)
        if self.storm.faults.library is not None:
            kinds += ["call", "faults"]
        kind = self.rng.choice(kinds)
        rules: list[Rule] = []
        moments: list[tuple[float, int]] = []
        window = (0.0, 0.0)
        if kind == "moments":
            moments = self._moments(self.rng.randint(1, 3))
        elif kind == "call":
            rules = [self._signal_at_call()]
        else:
            rules = self._faults()
            if self.rng.random() < 0.6:  # or most starts would go on to the end
                rules.append(self._signal_at_call())
            if not self.gentle and self.rng.random() < 0.4:
                rules = [replace(rule, after=0, count=0) if rule.action in (FAIL, SHORT) else rule for rule in rules]
                seconds = self.storm.seconds[self.workload.name]
                window = (self.rng.uniform(0, seconds * 0.6), self.rng.choice([0.05, 0.3, 1.0, 2.0]))
            if not self.gentle and self.rng.random() < 0.3:
                moments = self._moments(1)
        self._say(f"start {self.attempts + 1}", *map(str, rules), *map(str, moments), f"window {window}" * any(window))
        code = self._start(rules, moments, window)
        return self._look(code, disturbed=True)

    def _to_the_end(self) -> None:
        """Undisturbed starts until the run is finished."""
        for _ in range(TRIES):
            code = self._start([], [], (0.0, 0.0))
            if self._look(code, disturbed=False):
                self._need_no_leftovers()
                return
        raise Violation(f"not finished after {TRIES} undisturbed starts")

    def _start(self, rules: list[Rule], moments: list[tuple[float, int]], window: tuple[float, float]) -> int:
        """Start the owner, disturb it, and return its exit code."""
        self.attempts += 1
        storm = self.storm
        storm.faults.arm([] if any(window) else rules, self.rng)
        process = storm.server.start(resume(self.run), self.home, self.log)
        begun = time.monotonic()
        due: list[tuple[float, str, int]] = [(at, "signal", number) for at, number in moments]
        if any(window):
            due += [(window[0], "arm", 0), (sum(window), "disarm", 0)]
        for at, what, number in sorted(due):
            if process.wait(max(0.0, begun + at - time.monotonic())):
                break
            if what == "arm":
                storm.faults.arm(rules, self.rng)
            elif what == "disarm":
                storm.faults.disarm()
            elif process.signal(number):
                storm.counts[f"signal {signal.Signals(number).name}"] += 1
                if number == signal.SIGSTOP:
                    process.wait(self.rng.uniform(0.05, 0.5))
                    process.signal(signal.SIGCONT)
        self._wait(process, any(rule.value == signal.SIGSTOP and rule.action != FAIL for rule in rules))
        for what, count in storm.faults.hits().items() if rules else ():
            storm.counts[f"{'signal' if 'SIG' in what else 'fault'} {what.split()[-1] if 'SIG' in what else what}"] += (
                count
            )
        storm.faults.disarm()
        assert process.status is not None
        self._say(f"  ended with {process.status}", str(storm.faults.hits()) if rules else "")
        if left := server.stray(process.pid):
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise Violation(f"{len(left)} processes outlive their owner")
        return process.status

    def _wait(self, process: server.Process, stopped: bool) -> None:
        """Wait for its end; where it may have ``stopped`` itself, have it go on."""
        worked, since = -1.0, time.monotonic()
        while not process.wait(0.2):
            if stopped:
                process.signal(signal.SIGCONT)
            if (used := server.processor_seconds(process.pid)) > worked + 0.05:
                worked, since = used, time.monotonic()
            if time.monotonic() - since > HANG:
                self.storm.faults.disarm()
                process.signal(signal.SIGABRT)
                if not process.wait(10):
                    process.signal(signal.SIGKILL)
                    process.wait(10)
                where = re.findall(r"^  File .*/(\w+\.py\", line \d+ in \w+)", self.log.read_text(), re.MULTILINE)
                raise Violation(f"hangs: {' < '.join(one.replace(chr(34), '') for one in where[:6])}")

    # -- how a start is disturbed ------------------------------------------------------------------------------------

    def _moments(self, count: int) -> list[tuple[float, int]]:
        seconds = self.storm.seconds[self.workload.name]
        found = []
        for place in range(count):
            last = place == count - 1
            number = self.rng.choice(ENDING if last else (signal.SIGSTOP, signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
            found.append((self.rng.uniform(0, seconds * 0.7), int(number)))
        return sorted(found, key=lambda one: one[0])

    def _signal_at_call(self) -> Rule:
        number = self.rng.choice((*ENDING, signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP, signal.SIGHUP))
        action = self.rng.choice((SIGNAL_BEFORE, SIGNAL_AFTER))
        calls = self.rng.choice((faults.CHANGES, (RENAME,), (FSYNC,), (WRITE,), (UNLINK, MKDIR), (WRITE_OPEN,)))
        return Rule(calls, action, int(number), after=self._place(calls, 0.6), count=1)

    def _faults(self) -> list[Rule]:
        what = self.rng.choice(["full", "full", "io", "descriptors", "permission", "rename", "short", "short and full"])
        place = self.rng.choice(PLACES)
        share = self.rng.choice([0.02, 0.3, 1.0])
        calls: tuple[int, ...]
        if what in ("full", "short and full"):
            calls, error = (WRITE, MKDIR, WRITE_OPEN), errno.ENOSPC
        elif what == "io":
            calls, error = self.rng.choice([(WRITE,), (FSYNC,), (WRITE, FSYNC)]), errno.EIO
        elif what == "descriptors":
            calls, error = (READ_OPEN, WRITE_OPEN), errno.EMFILE
        elif what == "permission":
            calls, error = (WRITE_OPEN, MKDIR, RENAME, UNLINK), errno.EACCES
        else:
            calls, error = (RENAME,), errno.EIO
        after = self._place(calls, 0.1 if place else 0.6)
        count = self.rng.choice([1, 2, 5, 20, 100, 0 if not self.gentle else 50])
        short = Rule((WRITE,), SHORT, probability=self.rng.choice([0.1, 0.5, 1.0]), contains=place)
        if what == "short":
            return [short]
        rule = Rule(calls, FAIL, error, after, count, share, place)
        return [rule, short] if what == "short and full" else [rule]

    def _place(self, calls: tuple[int, ...], share: float = 1.0) -> int:
        """How many calls pass: up to ``share`` of those that an undisturbed run makes, often few or none."""
        there = self.storm.calls[self.workload.name]
        expected = round(sum(there[faults.CALLS[call]] for call in calls) * share)
        return self.rng.choice(
            [0, self.rng.randrange(10), self.rng.randrange(expected + 1), self.rng.randrange(expected + 1)]
        )

    def _damage(self) -> None:
        for _ in range(self.rng.choice([1, 1, 2])):
            self.damaged += 1
            attic = self.folder / "attic" / str(self.damaged)
            done = damage.inflict(self.home, self.run, self.workload.task, self.rng, attic)
            if done is None:
                continue
            self._say(f"damage {done.path.relative_to(self.home)}: {done}")
            self.storm.counts[f"damage {done.what}"] += 1
            if done.refusable:
                self.damages.append(done)
            if "replaced" in done.what:
                self.replaced.add(done.path)
            self.figures_damaged = self.figures_damaged or done.path.name == "results.json"
            self.journal_damaged = self.journal_damaged or done.path.name in ("events.jsonl", self.run.name)
            self.entries.clear()
            self.older = workloads.figures(self.run)
            for folder in (done.path, done.path.parent):
                if re.fullmatch(r"step-\d+", folder.name):
                    file = folder / "state.json"
                    left = workloads.digest(file.read_bytes()) if file.is_file() else ""
                    self.spoiled[int(folder.name.removeprefix("step-"))] = left
        self.newest = max(self._whole(), default=-1)

    # -- what has to hold after each start ---------------------------------------------------------------------------

    def _look(self, code: int, *, disturbed: bool) -> bool:
        """Check what is promised after a start that ended with ``code``; whether the run is finished."""
        told = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        if found := BAD.search(told):
            line = told[found.start() :].strip().splitlines()[-1]
            raise Violation(f"{found[0]} in the output: {line[:200]}")
        ours = OURS.findall(told)
        if len(ours) > 1:
            raise Violation(f"{len(ours)} lines of error: {told[-300:]}")
        in_journal = code == 1 and self.workload.task == "train" and disturbed  # a training that could not save
        if code in (1, 2) and not ours and not in_journal:
            raise Violation(f"ended with {code} and no word")
        if self.workload.task == "train":
            self._check_training()
        else:
            self._check_entries()
        finished = code == 0 or self._says_finished()
        if code in (1, 2) and not finished:
            self._refused(code, told, disturbed=disturbed)
        elif not disturbed and not finished:
            raise Violation(f"an undisturbed start ended with {code}: {told[-300:]}")
        if code not in (0, 1, 2, 130) and not (disturbed and -code in ENDING) and code != -signal.SIGHUP:
            raise Violation(f"ended with {code}")
        return finished

    def _refused(self, code: int, told: str, *, disturbed: bool) -> None:
        self._say(f"  {told.strip().splitlines()[-1] if told.strip() else 'failed'}")
        if self.damages:
            self.storm.counts["refused clearly"] += 1
            for done in reversed(self.damages):
                done.undo()
            self.damages.clear()
            self.journal_damaged = True
            self.newest = max(self._whole(), default=-1)
        elif not disturbed:
            raise Violation(f"intact work is refused ({code}): {told[-300:]}")

    def _check_training(self) -> None:
        whole = self._whole()
        newest = max(whole, default=-1)
        if newest < self.newest:
            raise Violation(f"the newest whole checkpoint went back from {self.newest} to {newest}")
        self.newest = newest
        if newest >= 0:
            best = workloads.state_of(self.run, newest)["position"]["best_step"]
            pruned = any(step > newest for step in self.spoiled)  # by a checkpoint that the storm has damaged since
            if 0 < best <= newest and best not in whole and best not in self.spoiled and not pruned:
                raise Violation(f"the best checkpoint, of step {best}, is not there: {whole}")
        if self.journal_damaged:
            return
        steps, _, events = workloads.journal(self.run)
        started = [event["step"] for event in events if event.get("event") == "started"]
        reach = max([*steps, *started[-1:]], default=-1)
        if reach < newest:
            raise Violation(f"the journal ends at step {reach}, the newest whole checkpoint is of step {newest}")
        gaps = sorted(set(range(1, newest + 1)) - steps.keys())
        if gaps:
            raise Violation(f"the journal lacks {len(gaps)} steps up to {newest}, the first of them {gaps[0]}")
        for step, value in steps.items():
            if value != self.expected.measured[step]:
                raise Violation(f"step {step} measured {value}, undisturbed {self.expected.measured[step]}")
        saved = [event["step"] for event in events if event.get("event") == "saved"]
        if saved and saved[-1] > newest and saved[-1] not in self.spoiled:
            raise Violation(f"step {saved[-1]} was reported as saved, the newest whole checkpoint is of step {newest}")

    def _check_entries(self) -> None:
        figures = workloads.figures(self.run)
        if figures == self.older:
            return
        self.older = None
        if lost := self.entries - figures.keys():
            raise Violation(f"results.json lost {', '.join(sorted(lost))}")
        self.entries = set(figures)
        for name, value in figures.items():
            if (
                not self.damages
                and not self.figures_damaged
                and value != self.expected.figures.get(name)
                and name != "zero-shot"
            ):
                raise Violation(f"results.json: {name} is not what it is undisturbed")

    def _says_finished(self) -> bool:
        if self.workload.task != "train":
            return False
        events = workloads.journal(self.run)[2]
        last = events[-1] if events else {}
        return last.get("event") == "finished" and last.get("reason") == "steps"

    def _need_no_leftovers(self) -> None:
        left = [entry for entry in self.home.rglob("*") if TEMPORARY.search(entry.name) and entry.name != "tmp-x"]
        left = [entry for entry in left if entry not in self.replaced]
        if left:
            raise Violation(f"left over: {', '.join(str(entry.relative_to(self.home)) for entry in left[:4])}")

    def _compare(self) -> None:
        found = workloads.result(self.workload.task, self.run)
        expected = self.expected
        if self.journal_damaged:
            found.measured, found.evaluated = expected.measured, expected.evaluated
        for name in [name for name in found.files if name.startswith("tmp-x")]:
            del found.files[name]
        if found.figures.get("best_step") in self.spoiled:  # damaged, and not made again
            for name in [name for name in found.files if name.startswith("best/")]:
                found.files[name] = expected.files[name]
        if told := expected.differences(found):
            raise Violation("not equal to the undisturbed run: " + "; ".join(told))

    # -- helpers -----------------------------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        """Of the last start."""
        return self.folder / f"start-{self.attempts}.log"

    def _whole(self) -> list[int]:
        """Whole checkpoints that the storm has not damaged."""
        found = []
        for step in workloads.whole(self.run / "checkpoints"):
            content = (workloads.checkpoint(self.run, step) / "state.json").read_bytes()
            if self.spoiled.get(step) != workloads.digest(content):
                found.append(step)
        return found

    def _say(self, *parts: str) -> None:
        self.history.append(" · ".join(part for part in parts if part))


def describe(error: Any) -> str:
    """One line."""
    return " ".join(str(error).split())[:400]
