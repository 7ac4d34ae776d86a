"""What needs no screen: curves in bounded memory, runs folded into state, drawings, numbers and the table of keys."""

from __future__ import annotations

import math
import os
import random
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from pseudoterminal import PROJECT
from stage import HOSTILE, evaluated, folded, sample, started, step, story
from textual.app import App, ComposeResult
from textual.strip import Strip

from engine.runs.events import Finished, Notice, SampleText, Step
from tui import panes, terminal, units
from tui.actions import ACTIONS, table
from tui.app import LabApp
from tui.follow.series import CAPACITY, Series
from tui.follow.story import EVALUATIONS, NOTICES, SAMPLES, Story
from tui.pane import Pane, bindings
from tui.widgets.bar import PANES
from tui.widgets.key_bar import Shown, fitting
from tui.widgets.lines import Lines

# -- series ----------------------------------------------------------------------------------------------------------


def series(losses: list[float]) -> Series:
    """A series of steps from 1 on."""
    made = Series()
    for number, loss in enumerate(losses, 1):
        made.add(step(number, loss))
    return made


def test_a_long_curve_stays_bounded_and_keeps_every_step_every_spike_and_the_mean() -> None:
    rng = random.Random(3)
    losses = [rng.random() for _ in range(300_000)]
    losses[123_456], losses[234_567] = 99.0, -99.0
    made = series(losses)
    assert CAPACITY // 2 <= len(made) <= CAPACITY
    assert sum(bucket.count for bucket in made.buckets) == len(losses)
    assert max(bucket.high for bucket in made.buckets) == 99.0
    assert min(bucket.low for bucket in made.buckets) == -99.0
    mean = sum(bucket.total for bucket in made.buckets) / len(losses)
    assert math.isclose(mean, sum(losses) / len(losses), rel_tol=1e-9)
    firsts = [bucket.first for bucket in made.buckets]
    assert firsts == sorted(set(firsts))
    assert made.buckets[-1].last.step == len(losses)


@pytest.mark.parametrize("wanted", [1, 2, 999, 5000, 99_999, 100_000])
def test_the_bucket_of_a_step_holds_that_step(wanted: int) -> None:
    made = series([1.0] * 100_000)
    found = made.at(wanted)
    assert found is not None
    assert found.first <= wanted <= found.last.step


def test_steps_outside_of_the_curve_give_its_ends() -> None:
    assert Series().at(5) is None
    made = series([1.0, 2.0, 3.0])
    assert (made.at(-1), made.at(10)) == (made.buckets[0], made.buckets[-1])


def test_what_lies_after_a_step_is_forgotten_and_the_curve_can_go_on() -> None:
    made = series([1.0] * 1000)
    made.forget_after(600)
    assert made.buckets[-1].last.step == 600
    made.add(step(601, 2.0))
    assert (made.buckets[-1].last.step, made.buckets[-1].mean) == (601, 2.0)
    made.forget_after(0)
    assert len(made) == 0


def test_nothing_of_a_forgotten_step_is_left_in_a_coarse_curve() -> None:
    made = series([1.0] * 50_001 + [7.0] * 50_000)
    assert made.buckets[0].count > 1
    made.forget_after(50_001)
    assert {bucket.high for bucket in made.buckets} == {1.0}
    assert made.buckets[-1].last.step > 50_001 - made.buckets[0].count
    for number in range(50_002, 50_300):
        made.add(step(number, 2.0))
    steps = [bucket.last.step for bucket in made.buckets]
    assert steps == sorted(set(steps))


def test_losses_that_are_no_numbers_are_left_out_of_the_curve() -> None:
    assert len(series([math.nan, math.inf, -math.inf])) == 0


# -- story -----------------------------------------------------------------------------------------------------------


def test_every_event_makes_the_version_grow() -> None:
    made, versions = Story(), []
    for event in story():
        made.fold(event)
        versions.append(made.version)
    assert versions == list(range(1, len(versions) + 1))


def test_pieces_of_samples_that_overlap_come_together_by_name() -> None:
    made = folded(
        SampleText(10, "a", "", "prompt a"),
        SampleText(10, "a", "one "),
        SampleText(12, "b", "", "prompt b"),
        SampleText(12, "b", "other"),
        SampleText(10, "a", "two", done=True),
    )
    assert [(s.ident, s.prompt, s.text, s.done) for s in made.samples] == [
        ("a", "prompt a", "one two", True),
        ("b", "prompt b", "other", False),
    ]


def test_a_resumed_run_takes_back_later_steps_evaluations_and_samples() -> None:
    made = folded(*story()[:-1], started(step=50), step(51, 0.5))
    assert made.finished is None
    assert [point.step for point in made.evaluations] == [0, 20, 40]
    assert [s.step for s in made.samples] == [0, 20, 40]
    assert made.step == 51
    assert max(bucket.last.step for bucket in made.train.buckets) == 51
    assert made.best is not None
    assert made.best.step == 40


def test_another_run_begins_another_story() -> None:
    made = folded(*story("one"), started("two"))
    assert (made.evaluations, made.samples, len(made.train), made.finished) == ([], [], 0, None)
    assert made.started is not None
    assert made.started.run == "two"


def test_a_cursor_finds_the_sample_and_the_evaluation_at_or_before_its_step() -> None:
    made = folded(*story())
    found = made.sample_at(59)
    assert found is not None
    assert found.step == 40
    point = made.evaluation_at(59)
    assert point is not None
    assert point.step == 40
    assert made.sample_at(None) is made.samples[-1]
    assert made.steps_to_visit() == [0, 20, 40, 60, 80, 100]


def test_memory_stays_flat_over_a_long_run() -> None:
    made = folded(started(steps=10_000_000))

    def go_on(begin: int, end: int) -> None:
        for number in range(begin, end):
            made.fold(step(number, 1.0))
            if number % 10 == 0:
                made.fold(evaluated(number, 1.0))
                made.fold(Notice("again"))
            if number % 100 == 0:
                for piece in sample(number, "text"):
                    made.fold(piece)

    go_on(1, 60_000)
    tracemalloc.start()
    try:
        go_on(60_000, 120_000)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 4_000_000  # what is replaced counts as new; 60,000 steps kept whole would take five times that
    assert len(made.train) <= CAPACITY
    assert len(made.samples) <= SAMPLES
    assert len(made.notices) <= NOTICES
    assert len(made.evaluations) <= EVALUATIONS
    assert made.step == 119_999


def test_thinning_out_evaluations_keeps_the_best_one() -> None:
    made = Story()
    for number in range(3 * EVALUATIONS):
        made.fold(evaluated(number, 0.5 if number == 4321 else 1.0))
    assert made.best is not None
    assert (made.best.step, made.best.val_loss) == (4321, 0.5)


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (units.count(0), "0"),
        (units.count(9_999), "9,999"),
        (units.count(12_345), "12.3 k"),
        (units.count(10_794_312), "10.8 M"),
        (units.count(2.5e12), "2.5 T"),
        (units.size(None), "?"),
        (units.size(0), "0 B"),
        (units.size(1536), "1.5 KiB"),
        (units.size(3 * 2**40), "3072.0 GiB"),
        (units.duration(None), "?"),
        (units.duration(math.inf), "?"),
        (units.duration(-3), "0 s"),
        (units.duration(59.6), "1 min 00 s"),
        (units.duration(3720), "1 h 02 min"),
        (units.duration(90_000), "1 d 01 h"),
        (units.loss(None), "–"),
        (units.loss(1.23456), "1.2346"),
        (units.rate(3e-4), "3e-4"),
        (units.rate(9.5e-4), "9.5e-4"),
    ],
)
def test_numbers_are_short_and_have_units(said: str, meant: str) -> None:
    assert said == meant


# -- the terminal ----------------------------------------------------------------------------------------------------


def test_a_terminal_is_refused_for_one_stated_reason_or_taken() -> None:
    fine = {"TERM": "xterm-256color"}
    assert terminal.refusal(fine, terminal=True, size=terminal.SMALLEST) is None
    for environment, there, size, word in (
        (fine, False, (80, 24), "needs a terminal"),
        ({"TERM": "dumb"}, True, (80, 24), "TERM is dumb"),
        ({}, True, (80, 24), "TERM is not set"),
        (fine, True, (59, 24), "59×24"),
        (fine, True, (80, 17), "80×17"),
    ):
        said = terminal.refusal(environment, terminal=there, size=size)
        assert said is not None
        assert word in said
        assert "llmlab-tui --help" in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("environment", "colours"),
    [
        ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16),
        ({"TERM": "xterm-256color"}, 256),
        ({"TERM": "alacritty"}, 256),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, 1 << 24),
        ({}, 16),
    ],
)
def test_colours_are_what_the_terminal_says_of_itself(environment: dict[str, str], colours: int) -> None:
    assert terminal.colours(environment) == colours


def test_settings_never_replace_what_the_user_has_set_and_slow_down_over_ssh() -> None:
    assert terminal.settings({"TERM": "xterm"})["TEXTUAL_COLOR_SYSTEM"] == "standard"
    assert int(terminal.settings({"SSH_CONNECTION": "x"})["TEXTUAL_FPS"]) < int(terminal.settings({})["TEXTUAL_FPS"])
    own = {"TEXTUAL_FPS": "60", "TEXTUAL_COLOR_SYSTEM": "256", "TQDM_DISABLE": "0"}
    assert not own.keys() & terminal.settings(own).keys()


def test_stray_writes_to_the_descriptors_land_in_the_log_and_not_on_the_screen(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from tui import terminal\n"
        "with terminal.guarded(Path(sys.argv[1])):\n"
        "    os.write(1, b'native out\\n'); os.write(2, b'native err\\n')\n"
        "    sys.__stderr__.write('picture\\n'); sys.__stderr__.flush()\n"
        "os.write(1, b'after out\\n'); os.write(2, b'after err\\n')\n"
    )
    log = tmp_path / "deep" / "screen.log"
    done = subprocess.run(
        [sys.executable, "-c", code, str(log)], capture_output=True, text=True, cwd=PROJECT, timeout=60, check=True
    )
    assert log.read_text() == "native out\nnative err\n"
    assert (done.stdout, done.stderr) == ("after out\n", "picture\nafter err\n")


def test_a_log_that_cannot_be_written_does_not_keep_the_screen_from_opening(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    before = os.fstat(1), os.fstat(2), sys.__stderr__
    with terminal.guarded(blocked / "screen.log"):
        os.write(2, b"nowhere\n")
    assert (os.fstat(1), os.fstat(2), sys.__stderr__) == before


# -- actions ---------------------------------------------------------------------------------------------------------


def pane(name: str) -> type[Pane]:
    """The class of a pane."""
    return type(panes.make(name))


FOLLOWING = ("train", "classify", "choose", "retrieve")


def test_no_key_means_two_things_in_one_pane() -> None:
    for where, _, _ in PANES:
        keys = [key for action in ACTIONS if action.where in (where, "everywhere") for key in action.keys]
        twice = {key for key in keys if keys.count(key) > 1}
        assert twice <= ({"f5", "n", "3"} if where in FOLLOWING else set())  # by state: tests/tui/test_screen_states.py


def test_every_action_has_a_title_and_help_and_is_carried_out_by_the_program() -> None:
    for action in ACTIONS:
        assert action.title
        assert action.help.endswith(".")
        name = action.name.partition("(")[0]
        holder = LabApp if action.where == "everywhere" else pane(action.where)
        assert hasattr(holder, f"action_{name}"), name


def test_bindings_and_help_come_from_the_same_table() -> None:
    for where, holder in (("everywhere", LabApp), *((name, pane(name)) for name, _, _ in PANES)):
        made = {(binding.key, binding.action) for binding in bindings(where)}
        wanted = {(key, a.target) for a in ACTIONS if a.where == where for key in a.keys}
        assert made == wanted
        assert {(binding.key, binding.action) for binding in holder.BINDINGS} == wanted
        assert [title for _, title, _ in table(where)] == [a.title for a in ACTIONS if a.where == where]


def test_no_action_takes_a_key_that_terminals_confuse_or_that_multiplexers_take() -> None:
    forbidden = {f"ctrl+{letter}" for letter in "mihabsjz"}
    assert not forbidden & {key for action in ACTIONS for key in action.keys}


# -- lines -----------------------------------------------------------------------------------------------------------


class Counting(Lines):
    """Lines that count which of them are drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn: list[int] = []

    def render_line(self, y: int) -> Strip:
        self.drawn.append(y)
        return super().render_line(y)


async def test_only_lines_that_changed_are_drawn_again() -> None:
    class Host(App[None]):
        CSS = "Counting { height: 10; }"

        def compose(self) -> ComposeResult:
            yield Counting()

    from rich.segment import Segment

    def strips(*texts: str) -> list[Strip]:
        return [Strip([Segment(text)]) for text in texts]

    async with Host().run_test(size=(40, 12)) as pilot:
        view = pilot.app.query_one(Counting)
        view.set_strips(strips(*"abcdef"))
        await pilot.pause(0.1)
        view.drawn.clear()
        view.set_strips(strips(*"abXdef"))
        await pilot.pause(0.1)
        assert set(view.drawn) == {2}
        view.drawn.clear()
        view.set_strips(strips(*"abXdef"))
        await pilot.pause(0.1)
        assert view.drawn == []
        view.set_strips(strips(*"abX"))
        await pilot.pause(0.1)
        assert set(view.drawn) == {3, 4, 5}
        assert [view.render_line(y).text.strip() for y in range(6)] == ["a", "b", "X", "", "", ""]


def test_hostile_text_is_held_by_a_story_as_it_is() -> None:
    made = folded(started(HOSTILE), *sample(1, HOSTILE), Finished(HOSTILE, 1, None, HOSTILE))
    assert made.samples[0].text == HOSTILE


def test_the_loss_of_a_step_is_the_one_it_was_told_with() -> None:
    made = folded(started(), step(1, 2.5))
    assert isinstance(made.last, Step)
    assert re.fullmatch(r"2\.5", str(made.last.loss))


def test_where_there_is_no_room_for_every_key_what_starts_and_the_help_stay() -> None:
    keys = [Shown("f1", "F1", "Help", "app.help"), *(Shown(x, x, "Something", f"do_{x}") for x in "abcdefgh")]
    keys += [Shown("f5", "F5", "Start", "app.start")]
    names = [shown.name for shown in fitting(keys, 200)]
    assert names == ["F5", *"abcdef", "F1"]  # eight at most
    cells = 1 + sum(len(name) + 1 + len("Something") for name in "ab") + len("F5 Start") + len("F1 Help") + 3 * 3 + 1
    assert [shown.name for shown in fitting(keys, cells)] == ["F5", "a", "b", "F1"]
    assert [shown.name for shown in fitting(keys, cells - 1)] == ["F5", "a", "F1"]
    assert [shown.name for shown in fitting(keys, 10)] == ["F1"]
    assert fitting(keys, 3) == []
