"""A journal read at once tells the same as one read an event at a time."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from checkpoints.run import Run
from engine.runs import owner, past
from engine.runs.events import Evaluated, Event, Finished, Notice, Progress, Started, Step, to_dict
from engine.runs.messages import Control, Detach
from tui.follow.folding import Folded, folding
from tui.follow.series import CAPACITY
from tui.follow.story import Story

RNG = random.Random(3)


def started(step: int) -> Started:
    return Started(
        "run", step, 9000, "verse", "f", 9, 9, 9, 9, 3.0, 2.6, None, 9, 9, 9, None, "CPU", "float32", 1, 1e9, ""
    )


def step(number: int, loss: float | None = None) -> Step:
    values = [RNG.random() * 10 ** RNG.randint(-12, 12) for _ in range(6)]
    return Step(number, values[0] if loss is None else loss, *values[1:])


def line(event: Event) -> bytes:
    return json.dumps(to_dict(event), separators=(",", ":")).encode()


def a_journal() -> list[bytes]:
    """Steps enough for buckets of several, with all that can lie between them; a resume that takes some back."""
    lines = [line(started(0))]
    for number in range(1, 3 * CAPACITY):
        lines.append(line(step(number)))
        if number % 700 == 0:
            lines.append(line(Evaluated(number, 2.0, 3.0, None, 2.0, number, 0.1)))
    lines.append(line(started(2 * CAPACITY)))
    lines += [line(step(number)) for number in range(2 * CAPACITY + 1, 5 * CAPACITY)]
    older = to_dict(step(5 * CAPACITY))
    lines += [line(step(5 * CAPACITY, loss)) for loss in (math.nan, math.inf, 1e300, -0.0, 3)]
    lines += [json.dumps(older).encode(), json.dumps(dict(reversed(older.items()))).encode()]
    lines += [
        line(step(5 * CAPACITY))[:-9],
        b'{"event":"step","step":7}',
        b'{"event":"step",',
        b"[" * 5000,
        b"\xff",
        b"",
    ]
    lines += [line(step(5 * CAPACITY)).replace(b'"step":1', b'"step":99999999999999999999', 1)]
    return [*lines, line(step(5 * CAPACITY + 1)), line(Notice("once more", step=3))]


def followed(path: Path, lines: Sequence[bytes]) -> Run:
    run = Run(path)
    path.mkdir()
    run.events.write_bytes(b"".join(one + b"\n" for one in lines))
    return run


def test_the_story_is_the_same_and_is_handed_over_as_one_value(tmp_path: Path) -> None:
    run = followed(tmp_path / "run", [*a_journal(), line(Finished("steps", 9, 2.0, "run"))])
    expected = Story()
    *events, notice, last = owner.follow(run, Control())
    for event in events:
        expected.fold(event)
    story = Story()
    *progress, folded, again, end = folding(lambda control: owner.follow(run, control, at_once=True), story)(Control())
    assert (again, end) == (notice, last)
    assert isinstance(folded, Folded)
    assert folded.story is story
    assert {type(event) for event in progress} == {Progress}
    assert [one.count for one in story.train.buckets] == [one.count for one in expected.train.buckets]
    assert max(one.count for one in story.train.buckets) > 2
    for mine, other in zip(story.train.buckets, expected.train.buckets, strict=True):
        assert mine.total == pytest.approx(other.total)
        assert {**asdict(mine), "total": 0} == {**asdict(other), "total": 0}
    assert (story.last, story.evaluations, story.started) == (expected.last, expected.evaluations, expected.started)


def test_steps_are_parsed_only_where_one_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    read: list[object] = []
    really = past.from_dict
    monkeypatch.setattr(past, "from_dict", lambda record: read.append(1) or really(record))
    run = followed(tmp_path / "run", [line(started(0)), *(line(step(number)) for number in range(1, 100_000))])
    story = Story()
    list(folding(lambda control: owner.follow(run, control, at_once=True), story)(Control()))
    assert story.step == 99_999
    assert sum(bucket.count for bucket in story.train.buckets) == 99_999
    assert len(read) < 20_000


def test_looking_away_ends_the_reading(tmp_path: Path) -> None:
    run = followed(tmp_path / "run", [line(step(number)) for number in range(1, 30_000)])
    control = Control()
    events = folding(lambda control: owner.follow(run, control, at_once=True), Story())(control)
    assert isinstance(next(events), Progress)
    control.send(Detach())
    assert [type(event) for event in events] in ([Folded], [Progress, Folded])  # not the rest of its seven megabytes
