"""Completions that are made together are those that are made alone, whatever happens to the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch
from workbench import only

from engine.lm import model as models
from engine.lm.batch import Batch
from engine.lm.generate import generate_together
from engine.lm.model import LanguageModel, OwnModel
from engine.lm.sampling import GenerateSpec, Sampling, SetSampling
from engine.runs.events import Completed, Event, Notice, Token
from engine.runs.messages import Continue, Control, Pause, Stop

pytestmark = pytest.mark.usefixtures("known_peak")

SETTINGS: list[dict[str, Any]] = [
    {"greedy": True},
    {"seed": 1, "top_k": 0},
    {"seed": 2, "top_k": 20, "max_new_tokens": 9},
    {"seed": 1, "top_k": 0, "temperature": 2.0},
    {"seed": 4, "top_k": 0, "top_p": 0.8, "repetition_penalty": 1.4},
]
PROMPT = [2, 9, 4, 11]


def samplings(**changes: Any) -> list[Sampling]:
    return [Sampling(**{"max_new_tokens": 24, **changes, **setting}) for setting in SETTINGS]


def written(write: Callable[..., Any], **changes: Any) -> Callable[[Path], Any]:
    def folder(where: Path) -> Path:
        write(where, **changes)
        return where

    return folder


MODELS: dict[str, Callable[[Path], Any]] = {
    "GPT-2": written(tinylm.write_gpt2),
    "Llama": written(tinylm.write_llama, tie_word_embeddings=True),
    "nanochat by transformers": written(tinylm.write_nanochat),
    "a sliding window by transformers": written(tinylm.write_llama, sliding_window=8),
    "characters": lambda _: tinylm.characters(),
}


def together(
    lm: LanguageModel, settings: list[Sampling], on: Callable[[Event, Control], object] = lambda *_: None, **given: Any
) -> list[Event]:
    control = Control()
    specs = [
        GenerateSpec(ids=tuple(PROMPT), sampling=one, stream=stream, **given) for stream, one in enumerate(settings)
    ]
    events = []
    for event in generate_together(lm, specs, control):
        events.append(event)
        on(event, control)
    return events


def rows(events: list[Event], count: int = len(SETTINGS)) -> list[list[int]]:
    """The ids of each completion."""
    return [[token.id for token in tinylm.tokens(events) if token.stream == stream] for stream in range(count)]


def alone(lm: LanguageModel, settings: list[Sampling]) -> list[list[int]]:
    return [tinylm.ids(tinylm.complete(lm, PROMPT, **vars(one))) for one in settings]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("static", [False, True])
def test_rows_are_drawn_as_alone_and_the_prompt_is_fed_once(
    kind: str, static: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tinylm.load(MODELS[kind](tmp_path))
    if static and not isinstance(lm, OwnModel):
        pytest.skip("there is no static step of transformers' models")
    count = 50 if lm.slides else 24  # beyond where the context is full
    wanted_events = [tinylm.complete(lm, PROMPT, **vars(one)) for one in samplings(max_new_tokens=count)]
    lm.forget()
    if static:
        assert isinstance(lm, OwnModel)
        lm.use_static_step()
    fed: list[int] = []
    feed = lm.feed
    monkeypatch.setattr(lm, "feed", lambda ids, **given: (fed.extend(ids), feed(ids, **given))[1])
    events = together(lm, samplings(max_new_tokens=count))
    assert rows(events) == [tinylm.ids(found) for found in wanted_events]
    assert fed == PROMPT or not lm.branches
    ends = {end.stream: end for end in only(Completed, events)}
    for stream, found in enumerate(wanted_events):
        (end,) = only(Completed, found)
        assert (ends[stream].reason, ends[stream].text) == (end.reason, end.text)
        ours = [token for token in tinylm.tokens(events) if token.stream == stream]
        for one, other in zip(ours, tinylm.tokens(found), strict=True):
            assert (one.index, one.text) == (other.index, other.text)
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)
            assert one.drawn_logprob == pytest.approx(other.drawn_logprob, abs=1e-3)


def test_tokens_come_in_turn_and_ended_rows_leave(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    settings = samplings()
    lengths = [len(ids) for ids in alone(lm, settings)]
    events = together(lm, settings)
    places = [token.index for token in tinylm.tokens(events)]
    assert places == sorted(places)
    ended: set[int] = set()
    for event in events:
        if isinstance(event, Completed):
            ended.add(event.stream)
        elif isinstance(event, Token):
            assert event.stream not in ended
    assert ended == set(range(len(settings)))
    assert [len(ids) for ids in rows(events)] == lengths


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("kind", ["GPT-2", "Llama", "nanochat by transformers", "characters"])
def test_out_of_memory_halves_the_rows_and_draws_the_same(
    kind: str, static: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = tinylm.load(MODELS[kind](tmp_path))
    if static:
        if not isinstance(lm, OwnModel):
            pytest.skip("there is no static step of transformers' models")
        lm.use_static_step()
    count = 50 if lm.slides else 24  # it slides first, and then memory runs out
    wanted = alone(lm, samplings(max_new_tokens=count))
    logits, calls = Batch.logits, 0

    def short_of_memory(self: Batch, ids: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        if ids.shape[0] > 2 and calls >= (35 if lm.slides else 5):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return logits(self, ids)

    monkeypatch.setattr(Batch, "logits", short_of_memory)
    events = together(lm, samplings(max_new_tokens=count))
    assert rows(events) == wanted
    told = [notice.text for notice in only(Notice, events) if notice.kind == "memory"]
    parts = "2 of 4" if lm.slides else "3 of 5"  # one has ended by then
    assert told[0] == f"out of memory: {parts} completions at a time"
    assert {end.stream for end in only(Completed, events)} == set(range(len(SETTINGS)))


def test_rows_that_cannot_fit_are_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    settings = samplings()
    wanted = alone(lm, settings)
    each = 2 * 3 * 32 * 4 * (len(PROMPT) + 24)  # keys and values of 3 layers, 32 wide
    monkeypatch.setattr(models, "free_memory", lambda _: 2 * each)
    largest = 0
    branch = lm._branch

    def branched(count: int, room: int) -> Batch:
        nonlocal largest
        largest = max(largest, count)
        return branch(count, room)

    monkeypatch.setattr(lm, "_branch", branched)
    assert rows(together(lm, settings)) == wanted
    assert largest == 2


def test_a_few_are_computed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    wanted = alone(lm, samplings())
    monkeypatch.setattr("engine.lm.generate.TOGETHER", 2)
    sizes: set[int] = set()
    logits = Batch.logits

    def noted(self: Batch, ids: torch.Tensor) -> torch.Tensor:
        sizes.add(ids.shape[0])
        return logits(self, ids)

    monkeypatch.setattr(Batch, "logits", noted)
    assert rows(together(lm, samplings())) == wanted
    assert max(sizes) == 2


def test_one_row_without_memory_fails_and_the_rest_is_not_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)

    def none_left(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(lm, "_logits", none_left)
    events = together(lm, samplings())
    assert [end.reason for end in only(Completed, events)] == ["failed"]
    assert [notice.level for notice in only(Notice, events)][-1] == "error"


def test_a_stop_and_a_pause_are_of_all(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)

    def on(event: Event, control: Control) -> None:
        if isinstance(event, Token) and event.stream == 3 and event.index == len(PROMPT) + 2:
            for message in (SetSampling(Sampling(greedy=True)), Pause(), Continue(), Stop()):
                control.send(message)

    wanted = alone(lm, samplings())
    events = together(lm, samplings(), on)
    assert [end.reason for end in only(Completed, events)] == ["stop"] * len(SETTINGS)
    assert rows(events) == [ids[:3] for ids in wanted]
    assert [type(event).__name__ for event in events if type(event).__name__ in ("Paused", "Continued")] == [
        "Paused",
        "Continued",
    ]


def test_damaged_weights_end_every_row_with_one_notice(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    assert isinstance(lm, OwnModel)
    with torch.no_grad():
        next(lm.network.parameters()).fill_(float("nan"))
    events = together(lm, samplings())
    assert [end.reason for end in only(Completed, events)] == ["failed"] * len(SETTINGS)
    assert [notice.kind for notice in only(Notice, events)] == ["nonfinite"]


def test_a_prompt_is_scored_once_and_told_for_each(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    events = together(lm, samplings(), score_prompt=True)
    told = tinylm.tokens(events, prompt=True)
    assert [(token.stream, token.id) for token in told] == [
        (stream, token) for stream in range(len(SETTINGS)) for token in PROMPT
    ]
    assert rows(events) == alone(lm, samplings())


def test_a_prompt_that_fills_the_context_is_cut_for_each_as_alone(tmp_path: Path) -> None:
    tinylm.write_gpt2(tmp_path)
    lm = tinylm.load(tmp_path)
    prompt = torch.randint(300, (80,), generator=torch.Generator().manual_seed(2)).tolist()
    settings = [Sampling(greedy=True, max_new_tokens=count) for count in (3, 3, 10)]
    specs = [GenerateSpec(ids=tuple(prompt), sampling=one, stream=stream) for stream, one in enumerate(settings)]
    found = rows(list(generate_together(lm, specs, Control())), 3)
    assert found == [tinylm.ids(tinylm.complete(lm, prompt, **vars(one))) for one in settings]
