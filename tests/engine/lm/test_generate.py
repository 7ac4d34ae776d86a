"""Completing a prompt: the tokens and log-probabilities of ``transformers``, and a task that can be talked to."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import tinylm
import torch
from torch import Tensor, nn
from workbench import notices, only

from engine.lm import generate as module
from engine.lm.generate import generate
from engine.lm.model import Facts, LanguageModel, OwnModel
from engine.lm.sampling import GenerateSpec, Sampling, SetSampling
from engine.runs.events import Completed, Continued, Event, Paused, Token
from engine.runs.messages import Continue, Control, Pause, Stop
from engine.runs.spec import BadSpec
from engine.tokenization.encoding import BYTE_OF
from engine.tokenization.find import load as load_tokenizer

transformers = pytest.importorskip("transformers")

PROMPT = [5, 90, 17, 260, 33]
END = tinylm.VOCABULARY - 1


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    tinylm.write_gpt2(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    tinylm.write_llama(folder)
    return folder


@pytest.fixture(scope="module")
def lm(gpt2: Path) -> LanguageModel:
    return tinylm.load(gpt2)


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    """A model of characters, whose window slides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMLAB_HOME", str(tmp_path_factory.mktemp("characters")))
        patch.setattr("engine.gpt.train.measure_peak", lambda placement: 1e9)
        return tinylm.load(tinylm.characters())


def theirs(folder: Path) -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def prompts(count: int) -> list[list[int]]:
    rng = random.Random(11)
    return [[rng.randrange(END) for _ in range(rng.randint(1, 30))] for _ in range(count)]


def end(events: list[Event]) -> Completed:
    last = events[-1]
    assert isinstance(last, Completed)
    assert len(only(Completed, events)) == 1
    return last


# -- against transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "count"), [("gpt2", 15), ("llama", 10)])
def test_greedy_is_that_of_generate(model: str, count: int, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    loaded, reference = tinylm.load(folder), theirs(folder)
    for prompt in prompts(count):
        given = torch.tensor([prompt])
        with torch.inference_mode():
            wanted = reference.generate(
                given, attention_mask=torch.ones_like(given), do_sample=False, max_new_tokens=20, pad_token_id=0
            )
        assert (
            tinylm.ids(tinylm.complete(loaded, prompt, greedy=True, max_new_tokens=20))
            == wanted[0, len(prompt) :].tolist()
        )


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_log_probabilities_of_greedy_are_those_of_generate(gpt2: Path, lm: LanguageModel, penalty: float) -> None:
    reference = theirs(gpt2)
    for prompt in prompts(5):
        given = torch.tensor([prompt])
        with torch.inference_mode():
            out = reference.generate(
                given,
                attention_mask=torch.ones_like(given),
                do_sample=False,
                repetition_penalty=penalty,
                max_new_tokens=15,
                pad_token_id=0,
                return_dict_in_generate=True,
                output_scores=True,
                output_logits=True,
            )
            drawn = reference.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)[0]
            own = reference.compute_transition_scores(out.sequences, out.logits, normalize_logits=True)[0]
        told = tinylm.tokens(tinylm.complete(lm, prompt, greedy=True, repetition_penalty=penalty, max_new_tokens=15))
        assert [token.id for token in told] == out.sequences[0, len(prompt) :].tolist()
        assert [token.drawn_logprob for token in told] == pytest.approx(drawn.tolist(), abs=1e-4)
        assert [token.logprob for token in told] == pytest.approx(own.tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_k": 20, "temperature": 0.7},
        {"top_k": 0, "top_p": 0.9},
        {"top_k": 0, "min_p": 0.03, "repetition_penalty": 1.2},
    ],
    ids=str,
)
def test_probabilities_of_a_sample_are_those_of_generate(
    settings: dict[str, Any], gpt2: Path, lm: LanguageModel
) -> None:
    """On a path that ``generate`` drew: each of its tokens has the probability here that it had there."""
    reference = theirs(gpt2)
    torch.manual_seed(3)
    given = torch.tensor([PROMPT])
    with torch.inference_mode():
        out = reference.generate(
            given,
            attention_mask=torch.ones_like(given),
            do_sample=True,
            max_new_tokens=12,
            pad_token_id=0,
            return_dict_in_generate=True,
            output_scores=True,
            **{"top_k": 50, **settings},
        )
        scores = reference.compute_transition_scores(out.sequences, out.scores, normalize_logits=True)[0].tolist()
    path = out.sequences[0].tolist()
    for index, wanted in enumerate(scores, len(PROMPT)):
        events = tinylm.complete(lm, path[:index], candidates=tinylm.VOCABULARY, max_new_tokens=1, **settings)
        (token,) = tinylm.tokens(events)
        final = {candidate.id: candidate.final for candidate in token.candidates}
        assert math.log(final[path[index]]) == pytest.approx(wanted, abs=1e-4)
        assert token.drawn_logprob == pytest.approx(math.log(final[token.id]), abs=1e-5)
        assert sum(final.values()) == pytest.approx(1, abs=1e-5)
        assert sum(p > 0 for p in final.values()) == token.kept


# -- one sample, however it is driven --------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["gpt2", "llama"])
@pytest.mark.parametrize("settings", [{}, {"top_k": 0, "temperature": 1.3}, {"repetition_penalty": 1.3, "top_p": 0.9}])
def test_stopped_and_continued_equals_uninterrupted(
    model: str, settings: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    loaded = tinylm.load(request.getfixturevalue(model))
    whole = tinylm.complete(loaded, PROMPT, max_new_tokens=24, **settings)
    for after in (1, 7, 23):

        def stop(event: Event, control: Control, after: int = after) -> None:
            if isinstance(event, Token) and event.index == len(PROMPT) + after - 1:
                control.send(Stop())

        first = tinylm.complete(loaded, PROMPT, on=stop, max_new_tokens=24, **settings)
        assert end(first).reason == "stop"
        assert end(first).tokens == after
        rest = tinylm.complete(loaded, PROMPT + tinylm.ids(first), max_new_tokens=24 - after, **settings)
        assert end(rest).reused == len(PROMPT) + after - 1
        assert tinylm.ids(first) + tinylm.ids(rest) == tinylm.ids(whole)
        if end(first).text == "".join(token.text for token in tinylm.tokens(first)):  # no character is cut in two
            assert end(first).text + end(rest).text == end(whole).text


def test_a_seed_gives_one_sample_and_another_seed_another(lm: LanguageModel) -> None:
    one, again, other = (tinylm.ids(tinylm.complete(lm, PROMPT, seed=seed, max_new_tokens=20)) for seed in (1, 1, 2))
    assert one == again != other


def test_what_ran_in_between_changes_nothing(lm: LanguageModel) -> None:
    before = tinylm.complete(lm, PROMPT, max_new_tokens=20)
    tinylm.complete(lm, [*PROMPT[:3], 9, 9, 9], max_new_tokens=30, seed=8)
    torch.manual_seed(99)
    assert tinylm.ids(tinylm.complete(lm, PROMPT, max_new_tokens=20)) == tinylm.ids(before)


def test_the_texts_of_the_tokens_are_the_text(lm: LanguageModel) -> None:
    for seed in range(5):
        events = tinylm.complete(lm, PROMPT, seed=seed, top_k=0, max_new_tokens=40)
        told = tinylm.tokens(events)
        drawn = [token.id for token in told if token.id != END]
        joined = "".join(token.text for token in told)
        assert end(events).text.startswith(joined)
        prompt = lm.tokenizer.decode(PROMPT)
        assert prompt + end(events).text == lm.tokenizer.decode(PROMPT + drawn)


# -- the task can be talked to ---------------------------------------------------------------------------------------


def test_new_settings_count_from_the_next_token(lm: LanguageModel) -> None:
    warm, greedy = Sampling(max_new_tokens=16, top_k=0), Sampling(max_new_tokens=10, greedy=True)

    def change(event: Event, control: Control) -> None:
        if isinstance(event, Token) and event.index == len(PROMPT) + 5:
            control.send(SetSampling(greedy))

    events = tinylm.complete(lm, PROMPT, on=change, max_new_tokens=16, top_k=0)
    plain = tinylm.ids(tinylm.complete(lm, PROMPT, max_new_tokens=6, top_k=warm.top_k))
    after = tinylm.ids(tinylm.complete(lm, PROMPT + plain, greedy=True, max_new_tokens=4))
    assert tinylm.ids(events) == plain + after
    assert end(events).reason == "length"


def test_settings_that_cannot_be_are_passed_over(lm: LanguageModel) -> None:
    control = Control()
    control.send(SetSampling(Sampling(temperature=0)))
    events = tinylm.complete(lm, PROMPT, control=control, max_new_tokens=5)
    assert tinylm.ids(events) == tinylm.ids(tinylm.complete(lm, PROMPT, max_new_tokens=5))


def test_pause_and_continue_change_no_token(lm: LanguageModel) -> None:
    def pause(event: Event, control: Control) -> None:
        if isinstance(event, Token) and event.index == len(PROMPT) + 3:
            control.send(Pause())
        if isinstance(event, Paused):
            assert event.step == 4
            control.send(Pause())
            control.send(Continue())

    events = tinylm.complete(lm, PROMPT, on=pause, max_new_tokens=9)
    assert [type(event) for event in events if isinstance(event, Paused | Continued)] == [Paused, Continued]
    assert tinylm.ids(events) == tinylm.ids(tinylm.complete(lm, PROMPT, max_new_tokens=9))


def test_a_stop_while_paused_or_before_the_prompt_is_read(lm: LanguageModel) -> None:
    control = Control()
    control.send(Pause())
    control.send(Stop())
    events = tinylm.complete(lm, PROMPT, control=control)
    assert (end(events).reason, end(events).text, tinylm.ids(events)) == ("stop", "", [])


def test_a_stop_within_a_long_prompt(lm: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 4)
    lm.forget()
    control = Control()
    feed = lm.feed

    def stopping(ids: list[int], **options: Any) -> Tensor:
        control.send(Stop())
        return feed(ids, **options)

    monkeypatch.setattr(lm, "feed", stopping)
    events = tinylm.complete(lm, list(range(20)), control=control)
    assert (end(events).reason, lm.held) == ("stop", [0, 1, 2, 3])


# -- the ends of things ----------------------------------------------------------------------------------------------


def test_a_full_context_ends_the_completion_and_says_so(lm: LanguageModel) -> None:
    events = tinylm.complete(lm, [7] * 60, greedy=True, max_new_tokens=50)
    assert (end(events).reason, end(events).tokens) == ("length", 4)
    (notice,) = notices("context", events)
    assert "room for 4 after the prompt's 60" in notice.text


def test_more_tokens_asked_for_on_the_way_than_fit(lm: LanguageModel) -> None:
    control = Control()
    control.send(SetSampling(Sampling(greedy=True, max_new_tokens=99)))
    events = tinylm.complete(lm, [7] * 60, control=control, greedy=True, max_new_tokens=2)
    assert (end(events).reason, end(events).tokens) == ("length", 4)
    assert len(notices("context", events)) == 1


@pytest.mark.parametrize(("asked", "kept"), [(5, 59), (100, 48), (16, 48)])
def test_a_long_prompt_keeps_its_end(lm: LanguageModel, asked: int, kept: int) -> None:
    prompt = [index % 250 for index in range(100)]
    events = tinylm.complete(lm, prompt, greedy=True, max_new_tokens=asked)
    (notice,) = notices("context", events)
    assert f"the first {100 - kept} are left out" in notice.text
    assert end(events).prompt_tokens == kept
    assert end(events).tokens == min(asked, 64 - kept)
    assert tinylm.ids(events) == tinylm.ids(tinylm.complete(lm, prompt[-kept:], greedy=True, max_new_tokens=asked))


def test_a_prompt_as_long_as_the_context(lm: LanguageModel) -> None:
    assert tinylm.ids(tinylm.complete(lm, [3] * 63, greedy=True, max_new_tokens=1))
    events = tinylm.complete(lm, [3] * 64, greedy=True, max_new_tokens=1)
    assert (end(events).prompt_tokens, end(events).tokens) == (63, 1)


@pytest.mark.parametrize(("length", "asked"), [(5, 60), (20, 50), (32, 33), (33, 33), (40, 40)])
def test_a_model_of_characters_goes_on_when_its_context_is_full(slides: LanguageModel, length: int, asked: int) -> None:
    """Each token is the best after the window that belongs to its place, computed from nothing."""
    full = slides.context
    given = [(7 * place) % 17 for place in range(length)]
    events = tinylm.complete(slides, given, greedy=True, max_new_tokens=asked)
    made = tinylm.ids(events)
    assert (end(events).reason, len(made)) == ("length", asked)
    assert len(notices("context", events)) == 1
    whole = [*given, *made]
    for place in range(length, length + asked):
        begin = 0 if place <= full else full // 2 * -(-(place - full) // (full // 2))
        slides.forget()
        assert int(slides.feed(whole[begin:place]).argmax()) == whole[place]


def test_a_sample_beyond_the_context_can_be_stopped_and_continued(slides: LanguageModel) -> None:
    settings: dict[str, Any] = {"seed": 5, "temperature": 0.9, "repetition_penalty": 1.2}
    slides.forget()
    straight = tinylm.ids(tinylm.complete(slides, [1, 2, 3], max_new_tokens=80, **settings))
    parts = [1, 2, 3]
    for count in (15, 30, 1, 34):
        slides.forget()
        parts += tinylm.ids(tinylm.complete(slides, parts, max_new_tokens=count, **settings))
    assert parts[3:] == straight


def test_an_empty_prompt_begins_a_text(lm: LanguageModel) -> None:
    events = tinylm.complete(lm, "", greedy=True, max_new_tokens=3)
    assert tinylm.ids(events) == tinylm.ids(tinylm.complete(lm, [END], greedy=True, max_new_tokens=3))


def test_an_empty_prompt_begins_a_line_of_a_character_model() -> None:
    bundled = tinylm.load("bundled")
    one, other = (tinylm.complete(bundled, prompt, max_new_tokens=12) for prompt in ("", "\n"))
    assert end(one).text == end(other).text != ""


def test_a_text_begins_as_its_tokenizer_begins_it(llama: Path) -> None:
    """What the tokenizer puts before a text is fed and says nothing; what it puts after would end the text."""
    loaded = tinylm.load(llama)
    events = tinylm.complete(loaded, "ma re", score_prompt=True, greedy=True, max_new_tokens=4)
    given = tinylm.tokens(events, prompt=True)
    text = loaded.tokenizer.encode("ma re").ids
    assert [token.id for token in given] == [END, *text]
    assert "".join(token.text for token in given) == "ma re"
    assert tinylm.ids(events) == tinylm.ids(tinylm.complete(loaded, [END, *text], greedy=True, max_new_tokens=4))
    empty = tinylm.complete(loaded, "", score_prompt=True, max_new_tokens=1)
    assert [(token.id, token.text) for token in tinylm.tokens(empty, prompt=True)] == [(END, "")]
    typed = tinylm.complete(loaded, tinylm.END, score_prompt=True, max_new_tokens=1)
    assert [(token.id, token.text) for token in tinylm.tokens(typed, prompt=True)] == [(END, ""), (END, tinylm.END)]


def test_a_prompt_that_cannot_be(lm: LanguageModel) -> None:
    bundled = tinylm.load("bundled")
    with pytest.raises(BadSpec, match=r"character '日' \(U\+65E5\) at position 4"):
        tinylm.complete(bundled, "Nel 日")
    with pytest.raises(BadSpec, match="the token 300 has no embedding in"):
        tinylm.complete(lm, [1, 300])
    with pytest.raises(BadSpec, match="the token -1 has no embedding in"):
        tinylm.complete(lm, [-1])
    with pytest.raises(BadSpec, match="temperature"):
        tinylm.complete(lm, [1], temperature=-1.0)
    start, lm.start = lm.start, None
    try:
        with pytest.raises(BadSpec, match="is empty"):
            tinylm.complete(lm, "")
    finally:
        lm.start = start


class Script(LanguageModel):
    """A model that says given ids, whatever it is asked."""

    def __init__(self, ids: list[int], logit: float = 50.0, tokenizer: str = "gpt2") -> None:
        facts = Facts("script", "a test", load_tokenizer(tokenizer), eos=frozenset({50256}))
        super().__init__(facts, nn.Linear(1, 1), 1000, 50257)
        self.said, self.logit, self.fed = ids, logit, 0

    def _logits(self, ids: Tensor, every: bool) -> Tensor:
        logits = torch.zeros(1, ids.shape[1] if every else 1, self.vocabulary)
        logits[0, -1, self.said[self.fed]] = self.logit
        self.fed += 1
        return logits

    def _keep(self, length: int) -> int:
        return length


def said(text: str | list[int], **changes: Any) -> tuple[Script, list[Event]]:
    ids = load_tokenizer("gpt2").encode(text).ids if isinstance(text, str) else text
    model = Script([*ids, 50256], **changes)
    return model, tinylm.complete(model, "a", greedy=True)


HOSTILE = ["[bold]x[/]", "\x1b]0;title\x07\x1b[2J", "日本語 👩‍👩‍👧 é\u0301", "\0\r\n\t", "\u202egnp", "```\n```"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_through_as_data(text: str) -> None:
    _, events = said(text)
    assert (end(events).reason, end(events).text) == ("eos", text)
    assert "".join(token.text for token in tinylm.tokens(events)) == text
    assert tinylm.tokens(events)[-1].text == ""
    assert tinylm.tokens(events)[-1].id == 50256


@pytest.mark.parametrize("content", [b"\x80", b"\xc3\xa9\xffa", b"\xe2\x82", b"\xf0\x9f", b"[\xbf]\x1b"])
def test_bytes_that_are_no_characters(content: bytes) -> None:
    tokenizer = load_tokenizer("gpt2")
    spelled = {byte: character for character, byte in BYTE_OF.items()}
    ids = [tokenizer.id_of(spelled[byte]) for byte in content]
    _, events = said([token for token in ids if token is not None])
    assert end(events).text == content.decode("utf-8", "replace")
    assert end(events).tokens == len(content) + 1


def test_a_model_that_ends_at_once_says_nothing() -> None:
    _, events = said("")
    assert (end(events).reason, end(events).text, end(events).tokens) == ("eos", "", 1)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_no_numbers_end_it_with_a_word(value: float) -> None:
    _, events = said("abc", logit=value)
    assert end(events).reason == "failed"
    (notice,) = notices("nonfinite", events)
    assert notice.level == "error"


# -- the prompt's own tokens -----------------------------------------------------------------------------------------


def score(lm: LanguageModel, ids: list[int], candidates: int = 10) -> list[Token]:
    """The tokens of a prompt, before the first that follows it."""
    events = tinylm.complete(lm, ids, score_prompt=True, candidates=candidates, max_new_tokens=1)
    return tinylm.tokens(events, prompt=True)


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_scores_of_a_prompt_are_those_of_one_forward_pass(model: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(model)
    loaded = tinylm.load(folder)
    text = [(7 * index) % 250 for index in range(50)]
    with torch.inference_mode():
        own = theirs(folder)(torch.tensor([text])).logits[0].double().log_softmax(-1)
    first, *rest = score(loaded, text, candidates=4)
    assert [first.id, *(token.id for token in rest)] == text
    assert (first.logprob, first.rank, first.entropy, first.candidates) == (None, None, None, ())
    for index, token in enumerate(rest):
        logprobs = own[index]
        assert token.index == index + 1
        assert token.logprob == pytest.approx(float(logprobs[token.id]), abs=1e-4)
        assert token.rank == int((logprobs > logprobs[token.id]).sum()) + 1
        assert token.entropy == pytest.approx(float(-(logprobs.exp() * logprobs).sum()), abs=1e-3)
        best = logprobs.topk(4).indices.tolist()
        assert [candidate.id for candidate in token.candidates] == best + [token.id] * (token.id not in best)
        assert (token.prompt, token.drawn_logprob, token.kept) == (True, None, None)


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_an_edited_prompt_is_scored_from_where_it_changed(
    model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = tinylm.load(request.getfixturevalue(model))
    text = [(7 * index) % 250 for index in range(40)]
    fed: list[int] = []
    feed = loaded.feed
    monkeypatch.setattr(loaded, "feed", lambda ids, **options: fed.append(len(ids)) or feed(ids, **options))
    score(loaded, text)
    for edited, cost in (
        (text, 2),
        ([*text[:30], 1, 2, 3], 4),
        (text[:20], 2),
        ([*text[:20], 5], 2),
        ([0, *text], 41),
    ):
        fed.clear()
        again = score(loaded, edited)
        assert sum(fed) == cost
        fresh = tinylm.load(request.getfixturevalue(model))
        wanted = score(fresh, edited)
        assert len(again) == len(wanted) == len(edited)
        for one, other in zip(again[1:], wanted[1:], strict=True):
            assert (one.index, one.id, one.text, one.rank) == (other.index, other.id, other.text, other.rank)
            assert one.logprob == pytest.approx(other.logprob, abs=1e-4)


def test_a_completion_after_its_scored_prompt_is_the_same(lm: LanguageModel) -> None:
    plain = tinylm.complete(lm, PROMPT, max_new_tokens=8)
    scored = tinylm.complete(lm, PROMPT, score_prompt=True, max_new_tokens=8)
    assert [token.id for token in tinylm.tokens(scored, prompt=True)] == PROMPT
    assert tinylm.ids(scored) == tinylm.ids(plain)
    again = tinylm.complete(lm, PROMPT, score_prompt=True, max_new_tokens=8)
    assert (end(scored).reused, end(again).reused) == (0, len(PROMPT) - 1)
    assert tinylm.ids(again) == tinylm.ids(plain)


def test_candidates_are_as_many_as_asked_for(lm: LanguageModel) -> None:
    for count in (0, 1, 6):
        for token in tinylm.tokens(tinylm.complete(lm, PROMPT, candidates=count, top_k=0, max_new_tokens=10)):
            shown = [candidate.id for candidate in token.candidates]
            assert shown == sorted(
                shown, key=lambda one: -dict(zip(shown, (c.probability for c in token.candidates), strict=True))[one]
            )
            assert len(shown) in ((0,) if count == 0 else (count, count + 1))
            assert count == 0 or token.id in shown
    assert all(token.candidates == () for token in score(lm, PROMPT, candidates=0))
    assert all(len(token.candidates) >= 9 for token in score(lm, PROMPT, candidates=9)[1:])


def test_several_streams_carry_their_number(lm: LanguageModel) -> None:
    spec = GenerateSpec(ids=tuple(PROMPT), sampling=Sampling(max_new_tokens=3), stream=4, score_prompt=True)
    assert {event.stream for event in generate(lm, spec, Control()) if isinstance(event, Token | Completed)} == {4}


def test_the_step_that_can_be_captured_changes_nothing(gpt2: Path, lm: LanguageModel) -> None:
    static = tinylm.load(gpt2)
    assert isinstance(static, OwnModel)
    static.use_static_step()
    for settings in ({"greedy": True}, {"top_k": 0}, {"repetition_penalty": 1.3}):
        one, other = (tinylm.complete(model, PROMPT, max_new_tokens=59, **settings) for model in (lm, static))
        assert tinylm.ids(one) == tinylm.ids(other)
        for ours, theirs in zip(tinylm.tokens(one), tinylm.tokens(other), strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
