"""Comparisons: the figures by brute force, common random numbers, and a file that gives the same texts again."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import tinylm
from workbench import only

from engine.lm import sweep_record as record
from engine.lm.model import LanguageModel
from engine.lm.sampling import Sampling, SetSampling
from engine.lm.sweep import (
    PROMPT,
    Comparison,
    Setting,
    ab,
    compare,
    distinct_2,
    ladder,
    mean_logprob,
    repetition_rate,
    samples,
)
from engine.runs.events import Compared, Completed, Event, Token
from engine.runs.messages import Control, Stop
from engine.runs.spec import BadSpec


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return tinylm.load("bundled")


SHORT = Sampling(max_new_tokens=12)


def run(lm: LanguageModel, comparison: Comparison) -> list[Compared]:
    results: list[Compared] = tinylm.drive(compare(lm, comparison, Control()))
    return results


@pytest.mark.parametrize(
    ("ids", "rate"),
    [
        ([], 0.0),
        ([1, 2, 3], 0.0),
        ([1, 2, 3, 4, 1, 2, 3, 4], 0.5),
        ([1, 2, 3, 4, 9, 1, 2, 3, 8], 0.0),
        ([7] * 10, 0.9),  # all but the first: the second run of four begins at the second token
        ([1, 2, 3, 4, 5, 1, 2, 3, 4, 5], 0.5),
    ],
)
def test_the_repetition_rate_of_its_definition(ids: list[int], rate: float) -> None:
    assert repetition_rate(ids) == pytest.approx(rate)
    inside = {
        place
        for start in range(len(ids) - 3)
        if any(ids[earlier : earlier + 4] == ids[start : start + 4] for earlier in range(start))
        for place in range(start, start + 4)
    }
    assert repetition_rate(ids) == pytest.approx(len(inside) / len(ids) if ids else 0)


def test_distinct_2_counts_pairs() -> None:
    assert distinct_2([1]) is None
    assert distinct_2([1, 2, 1, 2, 3]) == pytest.approx(3 / 4)


def test_the_ladder_is_the_lab_experiment(lm: LanguageModel) -> None:
    plan = ladder(PROMPT, replace(SHORT, top_k=5, top_p=0.3, repetition_penalty=1.5))
    assert plan.prompt == "Who knows if God exists, but for sure I"
    assert [setting.name for setting in plan.settings] == [
        "greedy",
        *(f"temperature {value}" for value in ("0.3", "0.7", "1", "1.3", "2")),
    ]
    assert {setting.sampling.seed for setting in plan.settings} == {SHORT.seed}
    assert {(s.sampling.top_k, s.sampling.top_p, s.sampling.repetition_penalty) for s in plan.settings} == {(0, 1, 1)}


def test_every_setting_is_completed_and_measured(lm: LanguageModel) -> None:
    plan = ladder("Nel mezzo", SHORT)
    events = list(compare(lm, plan, Control(), candidates=2))
    results = only(Compared, events)
    assert [result.name for result in results] == [setting.name for setting in plan.settings]
    assert not only(Completed, events)
    for stream, (result, setting) in enumerate(zip(results, plan.settings, strict=True)):
        told = [event for event in only(Token, events) if event.stream == stream]
        ids = [token.id for token in told]
        alone = tinylm.complete(lm, "Nel mezzo", **vars(setting.sampling))
        assert ids == tinylm.ids(alone)
        assert result.text == "".join(token.text for token in told) == lm.tokenizer.decode(ids)
        assert result.repetition_rate == repetition_rate(ids)
        assert result.distinct_2 == distinct_2(ids)
        assert result.mean_logprob == pytest.approx(sum(token.logprob or 0 for token in told) / len(told))
        assert (result.stream, result.tokens, result.reason, result.temperature) == (
            stream,
            12,
            "length",
            setting.sampling.temperature,
        )
    assert mean_logprob([]) is None


def test_two_settings_share_their_random_numbers(lm: LanguageModel) -> None:
    a = Sampling(seed=5, top_k=0, max_new_tokens=30)
    plan = ab("Nel", a, replace(a, seed=99, temperature=0.95))
    assert [setting.sampling.seed for setting in plan.settings] == [5, 5]
    assert [setting.name for setting in plan.settings] == ["A  temperature 1", "B  temperature 0.95"]
    more = ab("Nel", a, replace(a, greedy=True, top_k=3))
    assert [setting.name for setting in more.settings] == ["A  greedy no, top-k 0", "B  greedy yes, top-k 3"]
    one, other = run(lm, ab("Nel", a, replace(a, seed=99)))
    assert one.text == other.text


def test_samples_differ_by_their_seed(lm: LanguageModel) -> None:
    results = run(lm, samples("Nel", Sampling(seed=40, max_new_tokens=20), 3))
    assert [result.seed for result in results] == [40, 41, 42]
    assert len({result.text for result in results}) == 3


def test_a_stop_ends_all_settings(lm: LanguageModel) -> None:
    control = Control()
    told: list[Event] = []
    task = compare(lm, ladder("Nel", SHORT), control)
    for event in task:
        told.append(event)
        if isinstance(event, Token) and event.stream == 5 and len([t for t in only(Token, told) if t.stream == 5]) == 3:
            control.send(SetSampling(Sampling(greedy=True)))  # not taken: a comparison is of what was asked for
            control.send(Stop())
    assert [(result.reason, result.tokens) for result in only(Compared, told)] == [("stop", 3)] * 6


def test_what_cannot_be_compared(lm: LanguageModel) -> None:
    with pytest.raises(BadSpec, match="none to compare"):
        run(lm, Comparison("Nel", ()))
    with pytest.raises(BadSpec, match="second: temperature"):
        run(lm, Comparison("Nel", (Setting("first", SHORT), Setting("second", replace(SHORT, temperature=0)))))


# -- the file --------------------------------------------------------------------------------------------------------

TRAPS = [
    '"""',
    "```\n```toml\nx = 1\n```",
    "````",
    "\x1b[31m\x07\x7f\x9b",
    "a\\nb\\",
    "\ud800",
    "é\u0301👩‍👩‍👧",
    "| x | [y](z)",
    "",
]


def test_a_file_gives_the_same_texts_again(lm: LanguageModel) -> None:
    plan = ladder("Nel mezzo", SHORT)
    results = run(lm, plan)
    path = record.save(lm, plan, results)
    found = record.read(path)
    assert (found.model, found.fingerprint, found.comparison) == ("bundled", lm.fingerprint(), plan)
    fresh = tinylm.load(found.model)
    assert [result.text for result in run(fresh, found.comparison)] == list(found.texts)


@pytest.mark.parametrize("trap", TRAPS)
def test_texts_that_look_like_the_file(trap: str, lm: LanguageModel, tmp_path: Path) -> None:
    plan = Comparison(f"x{trap}", (Setting(f"one {trap}", SHORT), Setting("two", replace(SHORT, min_p=1e-05))))
    results = [
        replace(result, name=setting.name, text=f"text {trap}\n")
        for result, setting in zip(run(lm, ladder("Nel", SHORT)), plan.settings, strict=False)
    ]
    path = tmp_path / "file.md"
    content = record.write(lm, plan, results)
    path.write_text(content, "utf-8")
    found = record.read(path)
    clean = trap.replace("\ud800", "\ufffd")
    assert found.comparison.prompt == f"x{clean}"
    assert [setting.sampling for setting in found.comparison.settings] == [
        setting.sampling for setting in plan.settings
    ]
    assert found.texts == (f"text {clean}\n",) * 2
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", content)  # a terminal that shows it is left alone


def test_a_stopped_comparison_is_repeated_whole(lm: LanguageModel, tmp_path: Path) -> None:
    plan = ladder("Nel", SHORT)
    path = tmp_path / "file.md"
    path.write_text(record.write(lm, plan, run(lm, plan)[:2]), "utf-8")
    found = record.read(path)
    assert found.comparison == plan
    assert len(found.texts) == 2


def test_ids_are_kept(lm: LanguageModel, tmp_path: Path) -> None:
    plan = Comparison("", (Setting("one", SHORT),), (3, 1, 4))
    path = tmp_path / "file.md"
    path.write_text(record.write(lm, plan, run(lm, plan)), "utf-8")
    assert record.read(path).comparison == plan


def test_two_files_of_one_second_have_different_names(lm: LanguageModel) -> None:
    plan = Comparison("Nel", (Setting("one", replace(SHORT, max_new_tokens=1)),))
    results = run(lm, plan)
    assert len({record.save(lm, plan, results) for _ in range(3)}) == 3


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# nothing",
        "```toml\nmodel = \n```",
        "```toml\nmodel = 'x'\nprompt = 'y'\n```",
        "```toml\nmodel = 'x'\nprompt = 'y'\n[[setting]]\nname = 'a'\ntop_k = 'many'\n```",
        "```toml\nmodel = 'x'\nprompt = 'y'\n[[setting]]\nname = 'a'\ntemperature = -1\n```",
        "```toml\nsetting = 3\nmodel = 'x'\nprompt = 'y'\n```",
    ],
)
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "file.md"
    path.write_text(content)
    with pytest.raises(BadSpec):
        record.read(path)
