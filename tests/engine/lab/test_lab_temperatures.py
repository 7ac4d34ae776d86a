"""The ladder by several seeds against one sweep for each seed, and which model ``auto`` stands for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
import tinylm
from workbench import notices, only

from data.packaged import NotPackaged
from engine.lab import temperatures
from engine.lab.results import Rung, Temperatures
from engine.lm import find, smollm2
from engine.lm.sampling import Sampling
from engine.lm.sweep import PROMPT, TEMPERATURES, compare, ladder
from engine.machine import MemoryRanOut
from engine.runs.events import Compared, Completed, Event, Progress, Token
from engine.runs.messages import Control, Stop, Stopped, finish

T_3 = 3.182446  # 97.5% quantile of Student's t with 3 degrees of freedom, from a table


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tinylm.write_gpt2(folder)
    return folder


def measure(model: object, seeds: int = 3, length: int = 12) -> tuple[Temperatures, list[Event]]:
    events: list[Event] = []
    return finish(temperatures.measure(str(model), Control(), seeds=seeds, length=length), events.append), events


def sweep(model: object, prompt: str = PROMPT, **changes: int) -> list[Compared]:
    base = Sampling(**{"max_new_tokens": 12, **changes})
    results: list[Compared] = tinylm.drive(compare(tinylm.load(str(model)), ladder(prompt, base), Control()))
    return results


def test_every_rung_and_seed_is_as_in_a_sweep_of_that_seed(model: Path) -> None:
    found, events = measure(model)
    told: list[int] = []
    assert (found.model, found.prompt, found.tokens) == (str(model), PROMPT, 12)
    assert [rung.temperature for rung in found.rungs] == [0.0, *TEMPERATURES]
    assert [rung.seeds for rung in found.rungs] == [(1337,), *[(1337, 1338, 1339)] * len(TEMPERATURES)]
    for place, seed in enumerate((1337, 1338, 1339)):
        for rung, one in zip(found.rungs, sweep(model, seed=seed), strict=True):
            at = place if rung.temperature else 0
            assert (rung.name, rung.texts[at]) == (one.name, one.text)
            assert (rung.repetition[at], rung.distinct[at]) == (one.repetition_rate, one.distinct_2)
            assert rung.logprob[at] == pytest.approx(one.mean_logprob, abs=1e-4)
    assert len(only(Compared, events)) == 1 + 3 * len(TEMPERATURES)
    assert len(only(Token, events)) == sum(one.tokens for one in only(Compared, events))
    for at, event in enumerate(events):
        if isinstance(event, Progress) and event.what.startswith("completing"):
            assert (event.done, event.total) == (len(only(Token, events[:at])), 16 * 12)
            told.append(event.done)
    assert len(told) > 10


def test_a_prompt_that_the_vocabulary_cannot_write_is_replaced_and_that_is_said() -> None:
    found, events = measure("bundled", seeds=1, length=4)
    assert found.prompt == "Nel mezzo del cammin di nostra vita"
    (notice,) = notices("prompt", events)
    assert all(part in notice.text for part in ("'W'", PROMPT, found.prompt))


def test_auto_is_the_bundled_model_where_no_other_can_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(obey: object) -> Generator[Event, None, Path]:
        raise NotPackaged("the package index does not answer")
        yield

    monkeypatch.setattr(smollm2, "fetch", fetch)
    tinylm.hub_in(tmp_path, monkeypatch)
    find.note_used(str(tmp_path))  # the last used model is no one's choice for the lab
    found, events = measure("auto", seeds=1, length=2)
    assert found.model == "bundled"
    (downloading,) = notices("model", events)
    assert "SmolLM2" in downloading.text
    assert "package index" in notices("no_model", events)[0].text


def test_auto_is_gpt2_from_the_cache_and_nothing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylm.hub_in(tmp_path, monkeypatch)
    tinylm.write_gpt2(tinylm.cached(tmp_path, "gpt2"))
    found, events = measure("auto", seeds=1, length=2)
    assert found.model == "gpt2"
    assert not notices("model", events)


def test_a_stop_ends_it_without_a_result(model: Path) -> None:
    control = Control()

    def stop(event: Event) -> None:
        if isinstance(event, Token):
            control.send(Stop())

    with pytest.raises(Stopped):
        finish(temperatures.measure(str(model), control, seeds=1, length=12), stop)
    control.send(Stop())
    with pytest.raises(Stopped):  # while the model is loaded
        finish(temperatures.measure(str(model), control, seeds=1, length=12))


def test_a_completion_that_fails_is_no_result(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(lm: object, specs: list[object], control: Control) -> object:
        yield Completed("failed", "", 1, 0, 0, 0.0, 0.0, 0.0)

    monkeypatch.setattr("engine.lm.generate.generate_together", failing)
    with pytest.raises(MemoryRanOut):
        measure(model)


def test_of_a_sweep_only_plain_temperatures_that_ended_count(model: Path) -> None:
    results = sweep(model)
    names = ["greedy", *(f"temperature {value:g}" for value in TEMPERATURES)]
    assert [rung.name for rung in temperatures.from_sweep("m", "s", PROMPT, results[::-1]).rungs] == names
    changes: list[dict[str, object]] = [{"top_k": 50}, {"top_p": 0.9}, {"min_p": 0.1}, {"repetition_penalty": 1.2}]
    for change in [*changes, {"reason": "stop"}]:
        changed = [replace(one, **change) if one.temperature == 0.7 else one for one in results]  # type: ignore[arg-type]
        found = temperatures.from_sweep("m", "s", PROMPT, changed)
        assert [rung.name for rung in found.rungs] == [name for name in names if name != "temperature 0.7"]
    assert temperatures.from_sweep("m", "s", PROMPT, []) == Temperatures("m", "s", PROMPT, 0, ())


def test_sweeps_of_two_seeds_merge_into_what_both_together_are(model: Path) -> None:
    both, _ = measure(model, seeds=2)
    parts = [
        temperatures.from_sweep(both.model, both.source, both.prompt, sweep(model, seed=seed)) for seed in (1337, 1338)
    ]
    for one, two in (parts, parts[::-1], (both, parts[0]), (parts[1], both)):
        merged = temperatures.merge(one, two)
        assert [(rung.name, rung.seeds, rung.texts) for rung in merged.rungs[1:]] == [
            (rung.name, rung.seeds, rung.texts) for rung in both.rungs[1:]
        ]
        assert merged.rungs[0].texts == both.rungs[0].texts
        assert temperatures.merge(merged, merged) == merged
    assert temperatures.merge(None, parts[0]) == parts[0]
    for other in (replace(parts[0], prompt="x"), replace(parts[0], model="x"), replace(parts[0], tokens=3)):
        assert temperatures.merge(parts[0], other) == other
        assert temperatures.merge(both, other) == both


def test_curves_are_means_with_intervals_of_students_t() -> None:
    def rung(temperature: float, repetition: tuple[float, ...], logprob: tuple[float, ...]) -> Rung:
        count = len(repetition)
        return Rung("", temperature, tuple(range(count)), ("",) * count, repetition, logprob, (math.nan,) * count)

    four = (0.1, 0.2, 0.2, 0.3)
    made = Temperatures(
        "m",
        "s",
        "p",
        9,
        (
            rung(0.0, (0.9,), (-0.5,)),
            rung(0.7, four, (-1.0, -2.0, -4.0, -5.0)),
            rung(2.0, (0.0, 0.0, 0.0, 0.1), (-3.0, -3.0, -3.0, math.nan)),
        ),
    )
    found = temperatures.curves(made)
    half = T_3 * statistics.stdev(four) / 2
    assert found["repetition"][0] == (0.0, 0.9, 0.9, 0.9)
    assert found["repetition"][1] == pytest.approx((0.7, 0.2, 0.2 - half, 0.2 + half), abs=1e-6)
    assert found["repetition"][2][2] == 0.0  # a share cannot be below
    assert found["logprob"][1][1] == pytest.approx(-3.0)
    assert found["logprob"][1][3] <= 0.0
    assert found["logprob"][2] == (2.0, -3.0, -3.0, -3.0)
    assert found["distinct"] == []
