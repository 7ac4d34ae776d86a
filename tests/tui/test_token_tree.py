"""The tree of tokens: writing, completing, branching, going back; and what is left of it after a restart."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stage import HOSTILE
from workbench import make_verse

from engine.lm.sampling import GenerateSpec, Sampling
from engine.runs.events import Candidate, Token
from engine.runs.messages import Control
from engine.tokenization import find as tokenizers
from engine.tokenization.encoding import Tokenizer
from tui.generate import generation_tasks, session, token_tree
from tui.generate.generation_tasks import Pieces, Source, Tokenized, encode, recode
from tui.generate.session import Damaged, Session, SessionFile
from tui.generate.token_tree import RAW, TokenTree

COLD = Sampling(temperature=0.5)


def token(index: int, number: int, text: str, *, prompt: bool = False, logprob: float | None = -1.0) -> Token:
    """A token as the engine tells it."""
    candidates = (Candidate(number, text, 0.5, 0.5, 0.5), Candidate(number + 1000, "other", 0.25, 0.25, 0.25))
    return Token(
        index, number, text, logprob, None if prompt else -0.5, 1, 2.0, None if prompt else 50, prompt, candidates
    )


def prompted(*texts: str) -> TokenTree:
    """A tree whose text is a prompt of these tokens, of the first model."""
    made = TokenTree()
    made.write("".join(texts))
    made.settle(0, [(number, text) for number, text in enumerate(texts, 1)], made.number_of("m"), 0)
    return made


def complete(made: TokenTree, *texts: str, first: int = 100, sampling: Sampling = COLD) -> None:
    """A completion of these tokens."""
    made.remember()
    made.move(len(made.path))
    made.grow(sampling)
    for offset, text in enumerate(texts):
        made.fold(token(len(made.path), first + offset, text))


def tokens(made: TokenTree) -> list[int]:
    """Ids of the text."""
    return [made.nodes[number].id for number in made.path]


# -- writing and completing ------------------------------------------------------------------------------------------


def test_a_text_is_a_draft_until_it_has_tokens() -> None:
    made = TokenTree()
    assert made.write("Nel mezzo")
    assert (made.text, made.path, made.draft) == ("Nel mezzo", [], "Nel mezzo")
    made.settle(0, [(1, "Nel"), (2, " mezzo")], made.number_of("m"), 0)
    assert (made.text, tokens(made), made.draft) == ("Nel mezzo", [1, 2], "")
    assert not made.write("Nel mezzo")


def test_scores_of_a_prompt_reach_its_tokens_and_give_its_perplexity() -> None:
    made = prompted("a", "b", "c")
    assert made.unscored == 2
    for event in (
        token(0, 1, "a", prompt=True, logprob=None),
        token(1, 2, "b", prompt=True),
        token(2, 3, "c", prompt=True),
    ):
        made.fold(event)
    assert made.unscored == 0
    assert made.tally(prompt=True) == (3, pytest.approx(math.exp(1.0)))
    assert made.tally(prompt=False) == (0, None)
    made.fold(token(1, 77, "x", prompt=True, logprob=-9.0))  # of another text: not this one's token
    assert made.nodes[made.path[1]].logprob == -1.0


def test_scores_count_from_the_first_token_that_the_model_sees() -> None:
    made = TokenTree()
    made.settle(0, [(number, str(number)) for number in range(5)], made.number_of("m"), 2)
    made.fold(token(1, 3, "3", prompt=True, logprob=-3.0))
    assert [made.nodes[number].logprob for number in made.path] == [None, None, None, -3.0, None]


def test_a_completion_is_added_to_the_end_and_the_cursor_follows_unless_it_was_moved() -> None:
    made = prompted("a")
    complete(made, "b", "c")
    assert (made.text, made.cursor) == ("abc", 3)
    made.move(1)
    made.fold(token(3, 102, "d"))
    assert (made.text, made.cursor) == ("abcd", 1)
    assert [made.nodes[number].prompt for number in made.path] == [True, False, False, False]
    assert made.nodes[made.path[1]].head
    assert made.nodes[made.path[1]].drawn == COLD
    assert made.prompt == "a"


def test_settings_that_change_in_the_middle_belong_to_the_tokens_after() -> None:
    made = prompted("a")
    complete(made, "b")
    made.drawn = Sampling(greedy=True)
    made.fold(token(2, 101, "c"))
    assert [made.nodes[number].drawn for number in made.path[1:]] == [COLD, Sampling(greedy=True)]


# -- editing ---------------------------------------------------------------------------------------------------------


def test_an_edit_keeps_the_tokens_of_the_unchanged_beginning_with_their_numbers() -> None:
    made = prompted("one", " two")
    complete(made, " three", " four")
    assert made.write("one two three five")
    assert (tokens(made), made.draft, made.text) == ([1, 2, 100], " five", "one two three five")
    assert made.nodes[made.path[2]].logprob == -1.0
    assert made.write("one two")
    assert (tokens(made), made.draft) == ([1, 2], "")


def test_what_was_edited_away_can_be_undone_and_redone() -> None:
    made = prompted("one", " two")
    complete(made, " three")
    made.write("another text")
    assert made.undo()
    assert (made.text, tokens(made)) == ("one two three", [1, 2, 100])
    assert made.undo()
    assert made.text == "one two"
    assert made.undo()
    assert made.text == ""
    assert not made.undo()
    assert made.redo()
    assert made.redo()
    assert made.text == "one two three"
    assert made.redo()
    assert (made.text, made.draft) == ("another text", "another text")
    assert not made.redo()


def test_a_new_text_keeps_the_one_before_as_a_branch_even_where_it_had_no_tokens() -> None:
    made = TokenTree()
    made.write("only written")
    made.begin("from elsewhere")
    assert made.text == "from elsewhere"
    assert (made.branches(0), made.fork()) == ((2, 2), 0)  # a draft is a branch too
    assert made.switch(-1)
    assert made.text == "only written"
    assert made.undo()
    made.settle(0, [(5, "from elsewhere")], made.number_of("m"), 0)
    assert made.branches(0)[1] == 3  # as text, and as tokens
    made.switch(-1)
    made.switch(-1)
    assert made.text == "only written"
    assert made.pieces(0) == ("", [], "only written")  # without tokens, so it is read anew
    assert made.switch(1)
    assert made.text == "from elsewhere"


def test_another_model_has_tokens_of_its_own_for_the_same_text() -> None:
    made = prompted("ab", "c")
    complete(made, "d")
    other = made.number_of("other")
    assert made.pieces(0) == ("", [(1, "ab"), (2, "c"), (100, "d")], "")
    assert made.pieces(other) == ("", [], "abcd")
    made.remember()
    made.settle(0, [(1, "ab"), (9, "cd")], other, 0)
    assert (made.text, tokens(made), made.model) == ("abcd", [1, 9], other)
    assert made.undo()
    assert (tokens(made), made.model) == ([1, 2, 100], 0)


def test_a_beginning_too_long_for_any_context_stays_one_piece() -> None:
    made = TokenTree()
    made.write("long long ago, once")
    made.settle(0, [(1, " ago,"), (2, " once")], made.number_of("m"), 1, "long long")
    assert made.text == "long long ago, once"
    assert made.pieces(0) == ("long long", [(1, " ago,"), (2, " once")], "")
    made.write("long long ago, twice")
    assert made.pieces(0) == ("long long", [(1, " ago,")], " twice")
    made.write("long gone")
    assert made.pieces(0) == ("", [], "long gone")


# -- branches --------------------------------------------------------------------------------------------------------


def test_another_candidate_makes_a_branch_and_both_can_be_walked() -> None:
    made = prompted("a")
    complete(made, "b", "c", "d")
    seen = token(2, 101, "c")
    made.take(2, seen, seen.candidates[1], "X")
    assert (made.text, made.cursor) == ("abX", 3)
    node = made.at(2)
    assert node is not None
    assert (node.chosen, node.head, node.prompt, node.rank) == (True, True, False, 2)
    assert node.logprob == pytest.approx(math.log(0.25))
    complete(made, "e", first=300)
    assert made.text == "abXe"
    assert (made.fork(), made.branches(2)) == (2, (2, 2))
    assert made.switch(1)
    assert (made.text, made.cursor, made.branches(2)) == ("abcd", 2, (1, 2))
    assert made.switch(-1)
    assert made.text == "abXe"  # as far as it had come
    assert made.undo()
    assert made.text == "abcd"


def test_taking_the_token_that_stands_there_goes_on_from_it_without_a_branch() -> None:
    made = prompted("a")
    complete(made, "b", "c")
    before = len(made.nodes)
    seen = token(1, 100, "b")
    made.take(1, seen, seen.candidates[0], "b")
    assert (made.text, len(made.nodes), made.branches(1)) == ("ab", before, (1, 1))
    node = made.at(1)
    assert node is not None
    assert not node.chosen


def test_the_same_tokens_again_are_the_same_branch_and_other_tokens_another() -> None:
    made = prompted("a")
    complete(made, "b", "c")
    made.remember()
    assert made.cut_back()
    assert made.text == "a"
    complete(made, "b", "c")
    assert made.branches(1) == (1, 1)
    made.cut_back()
    complete(made, "B", first=200)
    assert (made.text, made.branches(1)) == ("aB", (2, 2))


def test_only_the_last_completion_is_taken_back_and_a_chosen_token_stays() -> None:
    made = prompted("a")
    complete(made, "b")
    complete(made, "c", "d", first=200)
    assert made.cut_back()
    assert made.text == "ab"
    seen = token(2, 200, "c")
    made.take(2, seen, seen.candidates[1], "X")
    assert not made.cut_back()  # nothing was drawn after it
    complete(made, "e", first=300)
    assert made.cut_back()
    assert made.text == "abX"
    assert not prompted("a").cut_back()


def test_there_is_no_other_branch_where_nothing_forks() -> None:
    made = prompted("a")
    complete(made, "b")
    assert made.fork() is None
    assert not made.switch(1)
    assert made.branches(99) == (0, 0)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_done_the_tree_stays_a_tree_and_undo_leads_back(seed: int) -> None:
    rng = random.Random(seed)
    made = prompted("a", "b")
    seen: list[str] = []
    for _ in range(60):
        match rng.randrange(6):
            case 0:
                if not made.draft:
                    complete(made, *rng.choices("xyz", k=rng.randint(1, 3)), first=rng.randint(10, 14))
            case 1:
                text = made.text
                made.write(text[: rng.randint(0, len(text))] + rng.choice(["", "q", "rs"]))
            case 2:
                lead, kept, rest = made.pieces(0)
                made.settle(len(kept) + bool(lead), [(ord(one), one) for one in rest], 0, 0)
            case 3:
                made.switch(rng.choice((-1, 1)))
            case 4:
                made.undo() if rng.random() < 0.6 else made.redo()
            case 5:
                if made.path and made.model != RAW and (place := rng.randint(1, len(made.path))):
                    event = token(place, rng.randint(10, 14), "t")
                    made.take(place, event, event.candidates[1], "o")
        seen.append(made.text)
        assert made.path == made.way(made.tip)
        assert 0 <= made.cursor <= len(made.path)
        for number, node in enumerate(made.nodes):
            assert all(made.nodes[child].parent == number for child in node.children)
            assert node.latest in (-1, *node.children)
            assert len({(made.nodes[c].id, made.nodes[c].model) for c in node.children}) == len(node.children)
    while made.undo():
        assert made.text in ["", "ab", *seen]
    assert made.text == ""


def test_the_oldest_branches_go_first_and_never_the_text_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_tree, "MOST", 100)
    made = prompted("a")
    complete(made, *"kept", first=500)
    for branch in range(40):
        made.show(made.path[:1], "", 1)
        complete(made, f"<{branch}>", "y", "z", first=1000 + 10 * branch)
    while made.text != "akept":
        made.switch(1)
    dropped = made.prune()
    assert len(made.nodes) <= 100
    assert made.text == "akept"
    assert dropped[0] == "a<0>yz"
    assert "a<39>yz" not in dropped
    made.switch(-1)
    assert made.text == "a<39>yz"
    assert made.prune() == []


def test_candidates_are_remembered_for_the_newest_tokens_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_tree, "DETAILED", 10)
    made = prompted("a")
    complete(made, *"x" * 100)
    held = [bool(made.nodes[number].candidates) for number in made.path[1:]]
    assert all(held[-10:])
    assert sum(held) <= 20


# -- from text to tokens again ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return tokenizers.load("gpt2")


def encoded(known: Tokenizer, text: str) -> Pieces:
    return encode(known, text)


@pytest.mark.parametrize(
    "text", ["Hello World", "naïve café 日本語 🏳️‍🌈 \u0301", "a\n\n  b\t c ", "", "\ud800x", "<|endoftext|>"]
)
def test_the_pieces_of_a_text_joined_are_the_text(gpt2: Tokenizer, text: str) -> None:
    made = encoded(gpt2, text)
    assert "".join(piece for _, piece in made) == text
    assert [number for number, _ in made] == gpt2.encode(text).ids


@pytest.mark.parametrize("seed", range(10))
def test_an_edited_text_gets_the_tokens_of_the_whole_text(gpt2: Tokenizer, seed: int) -> None:
    rng = random.Random(seed)
    text = "".join(rng.choices([" the", " cat", "s", ".", "\n", "  ", "é", "日", "'ll", " 123", "4", "🙂"], k=60))
    before = encoded(gpt2, text)
    kept = before[: rng.randint(0, len(before))]
    while kept and not kept[-1][1]:  # not within a character
        kept.pop()
    draft = "".join(rng.choices(["s", " dog", "?", "\n", " ", "é", "ing"], k=rng.randint(1, 9)))
    whole = "".join(piece for _, piece in kept) + draft
    stay, new = recode(kept, draft, gpt2)
    assert [*kept[:stay], *new] == encoded(gpt2, whole)


def test_tokens_that_a_model_drew_stay_where_the_tokenizer_would_spell_them_otherwise(gpt2: Tokenizer) -> None:
    drawn = [*encoded(gpt2, "I"), (gpt2.id_of("Ġth") or 0, " th"), (gpt2.id_of("ink") or 0, "ink")]
    assert len(encoded(gpt2, "I think")) == 2
    stay, new = recode(drawn, " so", gpt2)
    assert (stay, [piece for _, piece in new]) == (3, [" so"])


def test_nothing_new_is_nothing_to_read(gpt2: Tokenizer) -> None:
    assert recode(encoded(gpt2, "a b"), "", gpt2) == (2, [])


# -- a restart -------------------------------------------------------------------------------------------------------


def grown() -> Session:
    """A tree with a bit of everything, hostile text too."""
    made = prompted("Nel", " mezzo", HOSTILE, "\ud800", "")
    complete(made, " del", "", "\x00", " cammin")
    seen = token(7, 7, "x")
    made.take(7, seen, seen.candidates[1], " cuor")
    complete(made, " mio", first=400)
    made.write(made.text + " e poi [bold")
    made.move(3)
    return Session(made, Sampling(temperature=0.7, top_k=0, seed=9), ["gpt2", "bundled"])


def likeness(kept: Session) -> object:
    """Everything that a restart must bring back."""
    made = kept.tree
    rows = [
        (n.parent, n.id, n.text, n.model, n.prompt, n.head, n.chosen, n.logprob, n.rank, n.entropy, n.kept, n.children)
        for n in made.nodes
    ]
    return rows, made.path, made.draft, made.cursor, made.models, kept.sampling, kept.recent


def test_what_was_kept_is_there_again() -> None:
    kept = grown()
    assert SessionFile().write(kept.record()) is None
    again_ = SessionFile().read()
    assert likeness(again_) == likeness(kept)
    assert again_.tree.text == kept.tree.text
    assert again_.tree.switch(1)
    assert kept.tree.switch(1)
    assert again_.tree.text == kept.tree.text


def test_nothing_was_kept_before_the_first_time() -> None:
    assert likeness(SessionFile().read()) == likeness(Session())


def test_numbers_that_json_cannot_hold_are_left_out() -> None:
    kept = grown()
    kept.tree.nodes[-1].logprob = -math.inf
    record = json.loads(json.dumps(kept.record(), allow_nan=False))
    assert record["nodes"][-1][6] is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: text.replace('"version": 1', '"version": 99'),
        lambda text: text.replace('"nodes": [[', '"nodes": [[5000, 1, "x", 0, 0, -1, null, null, null, null, null], ['),
        lambda text: text.replace('"tip": ', '"tip": 9'),
        lambda text: text.replace('" mezzo"', "17"),
        lambda text: "\x00\xff" + text,
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_file_is_put_aside_and_not_deleted(damage: object, home: Path) -> None:
    session_file = SessionFile()
    session_file.write(grown().record())
    content = damage(session_file.path.read_text())  # type: ignore[operator]
    session_file.path.write_text(content)
    with pytest.raises(Damaged, match="renamed to"):
        SessionFile().read()
    aside = list((home / "generate").glob("session-damaged-*.json"))
    assert [path.read_text() for path in aside] == [content]
    assert not session_file.path.exists()
    assert likeness(SessionFile().read()) == likeness(Session())


def test_settings_that_cannot_be_used_do_not_cost_the_text(home: Path) -> None:
    session_file = SessionFile()
    for wrong in ({"temperature": -1}, {"temperature": "hot"}, None):
        session_file.write({**grown().record(), "sampling": wrong})
        kept = SessionFile().read()
        assert (kept.sampling, kept.tree.text) == (Sampling(), grown().tree.text)


def test_the_file_of_another_process_is_put_aside_before_it_is_replaced(home: Path) -> None:
    one, other = SessionFile(), SessionFile()
    assert one.write(Session().record()) is None
    other.read()
    mine, theirs = grown(), prompted("theirs")
    assert one.write(mine.record()) is None
    aside = other.write(Session(theirs).record())
    assert aside is not None
    assert json.loads(aside.read_text()) == mine.record()
    assert SessionFile().read().tree.text == "theirs"
    assert other.write(Session(theirs).record()) is None


def test_the_file_stays_small() -> None:
    made = prompted(*make_verse(40).split(" "))
    complete(made, *(f" word{number}" for number in range(2000)))
    record = json.dumps(Session(made).record())
    assert len(record) / len(made.nodes) < 120
    assert made.nodes[made.path[-1]].candidates
    assert "other" not in record


def test_models_are_remembered_the_last_one_first() -> None:
    kept = Session()
    for name in [*(f"model{number}" for number in range(20)), "model3"]:
        kept.used(name)
    assert kept.recent[:2] == ["model3", "model19"]
    assert len(kept.recent) == session.RECENT


# -- what the engine is given ----------------------------------------------------------------------------------------


def test_what_a_tokenizer_puts_before_a_text_is_put_there_once_and_is_no_token_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = tokenizers.load("wordpiece")  # puts [CLS] before a text
    first = known.id_of("[CLS]")
    specs: list[GenerateSpec] = []
    monkeypatch.setattr("engine.lm.generate.generate", lambda lm, spec, control: iter([specs.append(spec)]))
    lm: Any = SimpleNamespace(
        name="m", tokenizer=known, start=first, eos=frozenset(), context=50, vocabulary=known.size, slides=False
    )
    prompt = Source("", [], "the cat", 0)
    told = next(generation_tasks.complete(lm, prompt, Sampling(), Control()))
    assert isinstance(told, Tokenized)
    made = TokenTree()
    made.write("the cat")
    made.settle(told.kept, told.tokens, made.number_of("m"), told.base, told.lead)
    assert made.text == "the cat"
    list(generation_tasks.complete(lm, prompt, Sampling(), Control()))
    assert specs[-1].ids == (first, *known.encode("the cat").ids)
    for index, number in enumerate(specs[-1].ids):
        made.fold(token(index, number, "", prompt=True, logprob=-float(index)))
    assert [made.nodes[number].logprob for number in made.path] == [-1.0, -2.0]
    begun = Source("", [(first or 0, ""), (known.encode("the").ids[0], "the")], "", 0)
    list(generation_tasks.complete(lm, begun, Sampling(), Control()))
    assert specs[-1].ids == (first, *known.encode("the").ids)
