"""The view of a text in a vocabulary, against the whole text encoded at once and against torch's own printing."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from nasty import texts

from data import dante
from engine.tokenization import lexicon, spans
from engine.tokenization.encoding import Tokenizer, repaired
from engine.tokenization.find import load
from engine.tokenization.lexicon import Lexicon, Merges, matches, word_of
from engine.tokenization.spans import Tokenized, tensor_line, tokenize


@pytest.fixture(scope="module", params=["gpt2", "wordpiece", "bundled"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return load(request.param)


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return load("gpt2")


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    return load("wordpiece")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "BLOCK", 7)


def view(tokenizer: Tokenizer, text: str, before: Tokenized | None = None) -> Tokenized:
    made = tokenize(tokenizer, text, before)
    assert made is not None
    return made


def same(one: Tokenized, tokenizer: Tokenizer, text: str) -> None:
    """Every token of ``one`` is where the text encoded at once has it."""
    whole = tokenizer.encode(text)
    assert one.ids == whole.ids, text
    assert [(t.start, t.end) for t in one] == list(zip(whole.starts, whole.ends, strict=True)), text
    assert {t.index for t in one if t.unknown} == whole.unknown
    assert {t.index for t in one if t.special} == whole.special
    assert (one.counts.characters, one.counts.tokens) == (len(text), len(whole.ids))
    assert one.counts.bytes == len(repaired(text).encode())


@pytest.mark.usefixtures("small_blocks")
def test_blocks_change_no_token(tokenizer: Tokenizer) -> None:
    for text in texts(200, 80):
        same(view(tokenizer, text), tokenizer, text)


@pytest.mark.usefixtures("small_blocks")
def test_edits_give_what_a_fresh_start_gives(tokenizer: Tokenizer) -> None:
    rng = random.Random(8)
    pieces = texts(60, 6)
    for text in texts(15, 80):
        made = view(tokenizer, text)
        for _ in range(15):
            start = rng.randint(0, len(text))
            end = rng.choice([start, min(len(text), start + rng.randint(0, 12))])
            text = text[:start] + rng.choice(["", " ", "\n", *pieces]) + text[end:]
            made = view(tokenizer, text, made)
            same(made, tokenizer, text)


def test_an_edit_keeps_the_blocks_around_it(gpt2: Tokenizer) -> None:
    text = dante.dantesque().text()
    before = view(gpt2, text)
    middle = len(text) // 2
    after = view(gpt2, text[:middle] + "Hello" + text[middle:], before)
    assert len(before.blocks) > 15
    assert len(set(after.blocks) - set(before.blocks)) <= 2
    same(after, gpt2, text[:middle] + "Hello" + text[middle:])


def test_stale_work_is_dropped(gpt2: Tokenizer) -> None:
    asked = []
    assert tokenize(gpt2, "word " * 10_000, stale=lambda: asked.append(1) or len(asked) > 2) is None
    assert len(asked) == 3


@pytest.mark.usefixtures("small_blocks")
def test_byte_spans_are_exact(tokenizer: Tokenizer) -> None:
    for text in texts(150):
        content, made = repaired(text).encode(), view(tokenizer, text)
        for token in made:
            if tokenizer.kind == "bpe":
                assert content[token.byte_start : token.byte_end] == tokenizer.piece(token.id)
            else:
                span = repaired(text)[token.start : token.end].encode()
                assert content[token.byte_start : token.byte_end] == span


@pytest.mark.usefixtures("small_blocks")
def test_split_code_points_are_counted_and_marked(tokenizer: Tokenizer) -> None:
    for text in texts(150):
        made = list(view(tokenizer, text))
        holders = Counter(place for token in made for place in range(token.start, token.end))
        split = {place for place, count in holders.items() if count > 1}
        assert view(tokenizer, text).counts.split == len(split)
        assert [t.shared for t in made] == [any(p in split for p in range(t.start, t.end)) for t in made]


@pytest.mark.usefixtures("small_blocks")
def test_tokens_are_found_by_character(tokenizer: Tokenizer) -> None:
    for text in texts(60):
        made = view(tokenizer, text)
        listed = list(made)
        for offset in range(len(text) + 1):
            after = [token.index for token in listed if token.end > offset]
            assert made.at(offset) == (after[0] if after else None)
        for start, end in ((0, len(text)), (3, 9), (5, 5)):
            touching = [t for t in listed if t.end > start and t.start < end]
            assert list(made.between(start, end)) == touching


@pytest.mark.parametrize("number", [1, 2, 9, 10, 11, 40, 999, 1000, 1001, 3000])
def test_tensor_line_is_what_torch_prints(number: int) -> None:
    import torch

    rng = random.Random(number)
    for high in (9, 50257, 2_000_000):
        ids = [rng.randrange(high) for _ in range(number)]
        assert tensor_line(ids) == repr(torch.tensor([ids]))


def test_tensor_line_of_the_lab(gpt2: Tokenizer) -> None:
    import torch

    assert tensor_line(gpt2.encode("Hello World").ids) == "tensor([[15496,  2159]])"
    assert tensor_line([]) == repr(torch.zeros(1, 0, dtype=torch.int64))


def test_merges_rebuild_the_vocabulary(gpt2: Tokenizer) -> None:
    merges = Merges.of(gpt2)
    assert merges is not None
    assert len(merges) == 50_000
    for ident in range(0, gpt2.size - 1, 11):
        spelled = gpt2.token(ident)
        steps = merges.steps(spelled)
        assert (steps[-1].result if steps else spelled) == spelled
        assert len(steps) == len(spelled) - 1
        for step in steps:
            assert step.left + step.right == step.result
            assert gpt2.id_of(step.result) == step.rank + 256  # GPT-2 numbers its tokens by their merges


def test_each_merge_is_what_a_tokenizer_with_no_later_merge_does(gpt2: Tokenizer) -> None:
    from tokenizers import models

    merges, model = Merges.of(gpt2), gpt2.model()
    assert merges is not None
    spelled = "Ġunbelievably"
    parts = list(spelled)
    assert len(merges.steps(spelled)) > 5
    for step in merges.steps(spelled):
        place = next(n for n, pair in enumerate(pairwise(parts)) if pair == (step.left, step.right))
        parts[place : place + 2] = [step.result]
        learnt = models.BPE(model["vocab"], [tuple(pair) for pair in model["merges"][: step.rank + 1]])
        assert [token.value for token in learnt.tokenize(spelled)] == parts


def test_tokens_without_merges(gpt2: Tokenizer) -> None:
    merges = Merges.of(gpt2)
    assert merges is not None
    assert merges.steps("") == merges.steps("a") == []
    assert merges.steps("<|endoftext|>")[-1].result != "<|endoftext|>"
    assert Merges.of(load("wordpiece")) is None
    assert Merges.of(load("bundled")) is None


def test_wordpiece_path_is_what_the_tokenizer_does(wordpiece: Tokenizer) -> None:
    rng = random.Random(4)
    words = ["unbelievably", "cammin", "smarrita", "a", "x" * 101, "☃☃", "ab\u0378", "tokenization"]
    words += ["".join(rng.choices("aeioulnrst", k=rng.randint(1, 14))) for _ in range(200)]
    for word in words:
        path = matches(wordpiece, word)
        spelled = ["[UNK]"] if path[0].id is None else [match.text for match in path]
        assert spelled == [wordpiece.token(token) for token in wordpiece.encode(word).ids]
        for match in path:
            assert all(wordpiece.id_of(candidate) is None for candidate in match.tried)


def test_word_of_a_piece(wordpiece: Tokenizer) -> None:
    text = "Là per la SMARRÌTA, via"
    made = view(wordpiece, text)
    words = {wordpiece.token(token.id): word_of(made, token, text) for token in made}
    pieces = [match.text for match in matches(wordpiece, "smarrita")]
    assert len(pieces) > 1
    assert {words[piece] for piece in pieces} == {"smarrita"}
    assert (words["la"], words[","], words["via"]) == ("la", ",", "via")


def test_neighbours(gpt2: Tokenizer) -> None:
    known = Lexicon(gpt2)
    assert known.around(0) == [1, 2]
    assert known.around(50256) == [50254, 50255]
    assert known.around(100) == [98, 99, 101, 102]
    for ident in (262, 2159, 15496, 40_000):
        prefix, entries = known.sharing(ident)
        everyone = [gpt2.token(other) for other in range(gpt2.size) if other != ident]
        spelled = gpt2.token(ident)
        longest = max(n for n in range(len(spelled) + 1) if any(e.startswith(spelled[:n]) for e in everyone))
        assert prefix == spelled[:longest]
        assert entries
        assert all(gpt2.token(entry).startswith(prefix) for entry in entries)


def test_search(gpt2: Tokenizer, wordpiece: Tokenizer) -> None:
    known = Lexicon(gpt2)
    for typed in (" World", "ĠWorld", "·World", "␣World"):
        assert known.search(typed, case=True)[0] == 2159
    assert 995 in known.search(" World")
    assert 995 not in known.search(" World", case=True)
    assert known.search("15496")[0] == 15496
    assert known.search("") == known.search("no such thing at all") == []
    assert len(known.search("a", limit=17)) == 17
    everywhere = {i for i in range(gpt2.size) if "orld" in gpt2.piece(i).decode("utf-8", "replace").lower()}
    assert set(known.search("orld")) == everywhere
    assert wordpiece.token(Lexicon(wordpiece).search("##ing")[0]) == "##ing"
    assert [load("bundled").token(i) for i in Lexicon(load("bundled")).search("l")] == ["L", "l"]


def test_occurrences_in_the_corpus_at_hand(tokenizer: Tokenizer) -> None:
    name, text, fingerprint = lexicon.corpus()
    assert name == "dantesque"
    found = lexicon.occurrences(tokenizer, name, text, fingerprint)
    assert found is not None
    assert found.counts == Counter(tokenizer.encode(text).ids)
    assert (found.tokens, found.fingerprint) == (found.counts.total(), dante.dantesque().fingerprint)
    assert lexicon.occurrences(tokenizer, name, text, fingerprint, stale=lambda: True) is None
