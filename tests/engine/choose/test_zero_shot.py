"""Zero-shot scores: a forward for each choice gives the same, the harness's definitions hold, prefixes are shared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinylm
import torch
from workbench import only

from data.choices import Item
from engine.choose import report as choose_report
from engine.choose import zero_shot
from engine.choose.judged_items import ChoiceScore
from engine.choose.likelihood import LEADING, WAYS, Reader, logprobs, prompt_of
from engine.choose.zero_shot import Judging
from engine.lm.find import NoModel
from engine.lm.model import ForeignModel, LanguageModel
from engine.lm.tree import TokenTree
from engine.machine import MemoryRanOut
from engine.runs.events import ItemJudged
from engine.runs.messages import Control, Stop, Stopped

pytest.importorskip("transformers")

ITEMS = (
    Item("ma re lo sel va?", ("va tì", "va no", "gu", "ma re ma lo ma re", "va tì no gu"), 1),
    Item("lo sel", ("va", "va"), 0, context="re ma no", continued=True),
    Item("", ("gu re", "lo", "lo ma"), 2, context="tì no gu", continued=True),
    Item("gu?", ("va tì no", "i'", "re"), 0, context="ma re."),
)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("gpt2")
    return folder, tinylm.write_gpt2(folder, n_positions=128)


@pytest.fixture(scope="module")
def sliding(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Its cache cannot go back."""
    folder = tmp_path_factory.mktemp("sliding")
    return folder, tinylm.write_llama(folder, sliding_window=6)


def brute(model: Any, lm: LanguageModel, prompt: str, choice: str) -> list[float]:
    """The log-probability of each token of the choice, from one forward of everything, cut as the harness cuts it.

    It begins with the start token where the tokenizer puts one before a text, as the harness does and Generate too.
    """
    prompt, space = prompt.rstrip(), prompt[len(prompt.rstrip()) :] or " "
    context = lm.tokenizer.encode(prompt).ids
    rest = lm.tokenizer.encode(f"{prompt}{space}{choice}").ids[len(context) :]
    begun = lm.tokenizer.encode("ma", special=True).ids[0] == lm.start
    ids = [lm.start] * (begun or not context) + context + rest
    with torch.no_grad():
        rows = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return [float(rows[place - 1, ids[place]]) for place in range(len(ids) - len(rest), len(ids))]


@pytest.mark.parametrize("kind", ["gpt2", "sliding"])
def test_scores_are_those_of_a_forward_each(kind: str, request: pytest.FixtureRequest) -> None:
    folder, model = request.getfixturevalue(kind)
    lm = tinylm.load(folder)
    reader = Reader(lm, "" if lm.start is not None else "ma")
    for item in ITEMS:
        for choice, score in zip(item.choices, reader.score(item), strict=True):
            wanted = brute(model, lm, prompt_of(item), choice)
            alone = brute(model, lm, reader.uninformative(item), choice)
            assert [value for _, value in score.strip] == pytest.approx(wanted, abs=1e-4)
            assert score.sum == pytest.approx(sum(wanted), abs=1e-4)
            assert score.token == pytest.approx(sum(wanted) / len(wanted), abs=1e-4)
            assert score.character == pytest.approx(sum(wanted) / len(choice), abs=1e-4)
            assert score.pmi == pytest.approx(sum(wanted) - sum(alone), abs=1e-4)
            assert "".join(text for text, _ in score.strip) == f" {choice}"


def test_predictions_by_the_definitions_of_the_harness(gpt2: tuple[Path, Any]) -> None:
    """``acc``, ``acc_norm`` (characters of the choice) and ``acc_mutual_info`` (against no context)."""
    folder, model = gpt2
    lm = tinylm.load(folder)
    reader = Reader(lm, "")
    for item in ITEMS:
        lls = torch.tensor([sum(brute(model, lm, prompt_of(item), choice)) for choice in item.choices])
        bare = torch.tensor([sum(brute(model, lm, "", choice)) for choice in item.choices])
        lengths = torch.tensor([float(len(choice)) for choice in item.choices])
        found = reader.score(item)
        for way, wanted in (("sum", lls), ("character", lls / lengths), ("pmi", lls - bare)):
            scores = torch.tensor([one.way(way) for one in found])
            assert scores.argmax() == wanted.argmax(), (item, way)


def test_prompts() -> None:
    assert prompt_of(ITEMS[0]) == "Question: ma re lo sel va?\nAnswer:"
    assert prompt_of(ITEMS[1]) == "re ma no lo sel"
    assert prompt_of(ITEMS[3]) == "ma re.\nQuestion: gu?\nAnswer:"
    reader = Reader.__new__(Reader)
    reader._uninformative = None
    assert (reader.uninformative(ITEMS[0]), reader.uninformative(ITEMS[1])) == ("Answer:", "")


@pytest.mark.parametrize("kind", ["gpt2", "llama", "nanochat", "sliding"])
def test_items_together_score_as_one_forward_for_each_choice(kind: str, tmp_path: Path) -> None:
    """Log-probabilities within 1e-4 of ``transformers`` and every prediction, with each size of a batch."""
    write: dict[str, Callable[..., Any]] = {"gpt2": tinylm.write_gpt2, "nanochat": tinylm.write_nanochat}
    changes = {"sliding_window": 6} if kind == "sliding" else {}
    model = write.get(kind, tinylm.write_llama)(tmp_path, **changes)
    lm = tinylm.load(tmp_path)
    assert isinstance(lm, ForeignModel) is (kind == "sliding")
    items = [*ITEMS, replace(ITEMS[0], choices=ITEMS[0].choices[::-1]), replace(ITEMS[3], question="va re?")]
    wanted = [[brute(model, lm, prompt_of(item), choice) for choice in item.choices] for item in items]
    for count in (1, 2, len(items)):
        reader = Reader(lm, "ma")
        found = []
        for start in range(0, len(items), count):
            found += reader.scores([reader.question(item) for item in items[start : start + count]])
        for item, scores, each in zip(items, found, wanted, strict=True):
            for choice, score, values in zip(item.choices, scores, each, strict=True):
                assert [value for _, value in score.strip] == pytest.approx(values, abs=1e-4)
                assert score.alone == pytest.approx(sum(brute(model, lm, "ma", choice)), abs=1e-4)
            best = max(range(len(each)), key=lambda place, each=each: sum(each[place]))
            assert max(range(len(scores)), key=lambda place, scores=scores: scores[place].sum) == best


@pytest.mark.parametrize("kind", ["gpt2", "sliding"])
def test_what_is_shared_is_fed_once(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tinylm.load(request.getfixturevalue(kind)[0])
    trees: list[TokenTree] = []
    feed = lm.feed_tree

    def counted(tree: TokenTree, nodes: Sequence[int]) -> Any:
        trees.append(tree)
        return feed(tree, nodes)

    monkeypatch.setattr(lm, "feed_tree", counted)
    context = tuple(range(40))
    asked = [(context, choice) for choice in ((1, 2, 3, 4), (1, 2, 5), (1, 2, 3), (9,), (), (7, 7))]
    found = logprobs(lm, asked)
    # The context once; of the choices 1 2 3 and 7: the last token of each is never fed.
    assert [tree.ids for tree in trees] == [[*context, 1, 2, 3, 7]]
    assert [len(each) for each in found] == [4, 3, 3, 1, 0, 2]
    for one, values in zip(asked, found, strict=True):
        assert logprobs(lm, [one])[0] == pytest.approx(values, abs=1e-5)


def test_what_a_choice_is_worth_alone_is_computed_once(gpt2: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tinylm.load(gpt2[0])
    reader = Reader(lm, "ma")
    first = reader.score(ITEMS[0])
    fed: list[int] = []
    feed = lm.feed_tree
    monkeypatch.setattr(lm, "feed_tree", lambda tree, nodes: (fed.append(len(tree)), feed(tree, nodes))[1])
    again = reader.score(replace(ITEMS[0], question="gu?"))
    assert [one.alone for one in again] == [one.alone for one in first]
    context = [*lm.tokenizer.encode("Question: gu?\nAnswer:").ids]
    after = {
        ids[:length]
        for ids in reader.question(ITEMS[0]).choices
        for ids in [tuple(ids)]
        for length in range(1, len(ids))
    }
    assert fed == [len(context) + len(after)]  # nothing of the uninformative prompt


def test_a_tokenizer_that_joins_question_and_choice(tmp_path: Path) -> None:
    """What is scored begins where the tokens of both together are no more those of the question, for every choice."""
    from tokenizers import Tokenizer, decoders, models

    model = tinylm.write_gpt2(tmp_path)
    letters = [chr(code) for code in range(32, 127)] + ["\n"]
    vocabulary = {token: number for number, token in enumerate([*letters, ": ", ": v", "va"])}
    joining = Tokenizer(models.BPE(vocabulary, [(":", " "), (": ", "v"), ("v", "a")]))
    joining.decoder = decoders.Fuse()
    joining.save(str(tmp_path / "tokenizer.json"))
    lm = tinylm.load(tmp_path)
    reader = Reader(lm, "ma")
    item = Item("ma?", ("va", "gu"), 0)
    scores = reader.score(item)
    for choice, score in zip(item.choices, scores, strict=True):
        ids = lm.tokenizer.encode(f"{prompt_of(item)} {choice}").ids
        begin = len(lm.tokenizer.encode(prompt_of(item)).ids) - 1  # the colon is joined to what follows
        with torch.no_grad():
            rows = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = [float(rows[place - 1, ids[place]]) for place in range(begin, len(ids))]
        assert [value for _, value in score.strip] == pytest.approx(wanted, abs=1e-4)
        assert "".join(text for text, _ in score.strip) == f": {choice}"
    assert scores[0].strip[0][0] == ": v"


def test_a_long_prompt_loses_its_beginning(gpt2: tuple[Path, Any]) -> None:
    folder, model = gpt2
    lm = tinylm.load(folder)
    item = Item("ma re lo sel " * 60, ("va tì", "gu"), 0)
    found = Reader(lm, "").score(item)
    context = lm.tokenizer.encode(prompt_of(item)).ids
    rests = [lm.tokenizer.encode(f"{prompt_of(item)} {choice}").ids[len(context) :] for choice in item.choices]
    room = lm.context + 1 - max(map(len, rests))
    for score, rest in zip(found, rests, strict=True):
        ids = [*context[-room:], *rest]
        with torch.no_grad():
            rows = model(torch.tensor([ids[:-1]])).logits[0].log_softmax(-1)
        wanted = sum(float(rows[room - 1 + place, token]) for place, token in enumerate(rest))
        assert score.sum == pytest.approx(wanted, abs=1e-3)
    with pytest.raises(ValueError, match="longer than"):
        Reader(lm, "").score(Item("ma?", ("gu " * 200, "va"), 0))


def test_a_token_beyond_the_model_is_told_and_the_rest_is_judged(tmp_path: Path) -> None:
    """A tokenizer with more tokens than the model has embeddings."""
    from tokenizers import Tokenizer

    tinylm.write_gpt2(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_special_tokens(["<user>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    items = [Item("ma <user> re?", ("va", "gu"), 0), ITEMS[0], Item("ma?", ("va", "<user>"), 0)]
    judging = Judging(Reader(tinylm.load(tmp_path), ""), items)
    list(judging.run(Control()))
    (said,) = judging.unscored
    assert (judging.unscored[said], "token 300" in said, "has 300" in said) == (2, True, True)
    assert np.isfinite(judging.scores(LEADING)).any(1).tolist() == [False, True, False]


def test_characters_that_a_model_does_not_know(tmp_path: Path) -> None:
    reader = Reader(tinylm.load("bundled"))
    found = reader.score(Item("Where?", ("日本", "che"), 1))
    assert reader.unspelled
    assert found[0] == ChoiceScore((), *[float("-inf")] * 5)  # the space before it alone is not the choice
    assert all(found[1].way(way) > float("-inf") for way in WAYS)


def test_memory_that_runs_out_halves_a_batch(gpt2: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tinylm.load(gpt2[0])
    wanted = [Reader(lm, "").score(item) for item in ITEMS]
    reader, feed, sizes = Reader(lm, ""), lm.feed_tree, []
    questions = [reader.question(item) for item in ITEMS]
    limit = max(question.tokens for question in questions)

    def short(tree: TokenTree, nodes: Any) -> Any:
        sizes.append(len(tree))
        if len(tree) > limit:
            raise MemoryRanOut("no memory left")
        return feed(tree, nodes)

    monkeypatch.setattr(lm, "feed_tree", short)
    found = reader.scores(questions)
    assert len(sizes) > 2
    for one, other in zip(found, wanted, strict=True):
        assert [each.sum for each in one] == pytest.approx([each.sum for each in other], abs=1e-5)
    limit = 1
    with pytest.raises(NoModel, match="no memory left"):
        Reader(lm, "").scores(questions)


@pytest.mark.parametrize(("together", "count"), [(1, 6), (140, 8)])  # with several items at once their batch is ended
def test_judging_tells_every_item_and_stopping_keeps_them(
    together: int, count: int, gpt2: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zero_shot, "TOGETHER", together)
    judging = Judging(Reader(tinylm.load(gpt2[0]), ""), ITEMS * 3)
    control = Control()
    events = []

    def run() -> None:
        for event in judging.run(control):
            events.append(event)
            if len(events) == 6:
                control.send(Stop())

    with pytest.raises(Stopped):
        run()
    ranked = only(ItemJudged, events)
    assert [event.item for event in ranked] == list(range(count))
    assert all(set(event.ways) == set(WAYS) for event in ranked)
    assert [list(event.scores) for event in ranked] == [[one.way(LEADING) for one in found] for found in judging.done]
    scores = {way: judging.scores(way) for way in WAYS}
    assert {len(found) for found in scores.values()} == {count} == {len(judging.alone())}
    result = choose_report.of_controls(choose_report.Controls(scores), scores[LEADING], ITEMS * 3, 1)
    for way in WAYS:
        hits = [
            max(range(len(found)), key=lambda choice, found=found, way=way: found[choice].way(way)) == item.gold
            for found, item in zip(judging.done, ITEMS * 3, strict=False)
        ]
        assert result["ways"][way]["accuracy"] == pytest.approx(sum(hits) / count, abs=1e-6)


def test_the_order_of_the_choices_changes_nothing(gpt2: tuple[Path, Any]) -> None:
    judging = Judging(Reader(tinylm.load(gpt2[0]), ""), [ITEMS[0], ITEMS[2], ITEMS[3]])
    assert len(list(judging.run(Control()))) == 3
    order, moved = tinylm.drive(judging.reordered(Control(), 3, 10))
    scores = judging.scores(LEADING)
    assert len(order) == 3
    assert any(list(row) != sorted(row) for row in order)
    for row, taken, found in zip(scores, order, moved, strict=True):
        assert found == pytest.approx(row[taken], abs=1e-5)


def test_a_choice_too_long_is_told_and_the_rest_is_judged(gpt2: tuple[Path, Any]) -> None:
    judging = Judging(Reader(tinylm.load(gpt2[0]), ""), [Item("ma?", ("gu " * 200, "va"), 0), ITEMS[0]])
    events = list(judging.run(Control()))
    assert len(only(ItemJudged, events)) == 2
    assert list(judging.unscored.values()) == [1]
    assert "longer than the 128 tokens" in next(iter(judging.unscored))
    assert judging.done[0][0] == ChoiceScore((), *[float("-inf")] * 5)
    assert not np.isfinite(judging.scores(LEADING)[0]).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_one_error(
    gpt2: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch, bad: float
) -> None:
    lm = tinylm.load(gpt2[0])
    feed = lm.feed_tree
    one = torch.tensor([lm.tokenizer.encode("va").ids[-1] - 1])  # a token of which nothing is asked

    def spoilt(tree: TokenTree, nodes: Sequence[int]) -> Any:
        return feed(tree, nodes).index_fill(-1, one, bad)

    monkeypatch.setattr(lm, "feed_tree", spoilt)
    with pytest.raises(NoModel, match="not finite"):
        list(Judging(Reader(lm, ""), ITEMS).run(Control()))


def test_prompts_that_are_cut_are_counted(gpt2: tuple[Path, Any]) -> None:
    judging = Judging(
        Reader(tinylm.load(gpt2[0]), "ma re " * 100), [ITEMS[0], Item("ma re lo sel " * 60, ("va", "gu"), 0)]
    )
    list(judging.run(Control()))
    assert judging.truncated == 1  # the uninformative prompt, cut too, is no question
