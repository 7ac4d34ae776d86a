"""Tokenizers against ``transformers`` on the same vocabulary files, and every way in which a name can fail."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import workbench
from nasty import texts

from data import packaged
from data.vocabulary import Vocabulary
from engine.tokenization.encoding import UNKNOWN, CharacterTokenizer, NoTokenizer, Tokenizer, repaired
from engine.tokenization.find import from_backend, load

LAB = {
    "Hello World": [15496, 2159],
    "hello World": [31373, 2159],
    " hello World": [23748, 2159],
    "HelloWorld": [15496, 10603],
    "Hello World ": [15496, 2159, 220],
}


@pytest.fixture(scope="module")
def gpt2() -> Tokenizer:
    return load("gpt2")


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    return load("wordpiece")


@pytest.fixture(scope="module")
def theirs(gpt2: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same vocabularies in ``transformers``' own classes."""
    from transformers import BertTokenizerFast, GPT2TokenizerFast

    merges = workbench.PROJECT / "data" / "bundled" / "gpt2" / "vocab.bpe"
    encoder = tmp_path_factory.mktemp("gpt2") / "encoder.json"
    encoder.write_text(json.dumps({gpt2.token(number): number for number in range(gpt2.size)}))
    # The files that OpenAI published, to the byte.
    assert [hashlib.sha256(file.read_bytes()).hexdigest()[:16] for file in (merges, encoder)] == [
        "1ce1664773c50f3e",
        "196139668be63f3b",
    ]
    return {
        "gpt2": GPT2TokenizerFast(vocab=str(encoder), merges=str(merges)),
        "wordpiece": BertTokenizerFast(vocab=str(packaged.find(packaged.WORDPIECE_VOCABULARY)), do_lower_case=True),
    }


def test_labs_examples(gpt2: Tokenizer) -> None:
    for text, ids in LAB.items():
        assert gpt2.encode(text).ids == ids
        assert gpt2.decode(ids) == text


@pytest.mark.parametrize("name", ["gpt2", "wordpiece"])
@pytest.mark.parametrize("special", [False, True])
def test_agrees_with_transformers(name: str, special: bool, theirs: dict[str, Any]) -> None:
    ours = load(name)
    assert ours.size == len(theirs[name])
    for text in texts(300):
        told = theirs[name](repaired(text), return_offsets_mapping=True, add_special_tokens=special)
        mine = ours.encode(text, special=special)
        assert mine.ids == told["input_ids"], text
        assert list(zip(mine.starts, mine.ends, strict=True)) == told["offset_mapping"], text
        flagged = [position for position, token in enumerate(mine.ids) if token in theirs[name].all_special_ids]
        assert mine.special | mine.unknown == set(flagged)


def test_byte_level_spans_and_pieces_give_the_text_back(gpt2: Tokenizer) -> None:
    for text in texts(200):
        found = gpt2.encode(text)
        assert b"".join(map(gpt2.piece, found.ids)) == repaired(text).encode()
        joined, reached = "", 0
        for start, end in zip(found.starts, found.ends, strict=True):
            assert start <= reached  # nothing is left out
            joined += text[max(start, reached) : end]
            reached = max(reached, end)
        assert joined == text


def test_every_piece_decodes_as_the_library_does(gpt2: Tokenizer) -> None:
    for token in range(0, gpt2.size, 7):
        assert gpt2.piece(token).decode("utf-8", "replace") == gpt2.decode([token])


def test_wordpiece_tells_unknown_from_spelled_out(wordpiece: Tokenizer) -> None:
    found = wordpiece.encode("ok [UNK] \u0378 [MASK]")
    assert [wordpiece.token(token) for token in found.ids] == ["ok", "[UNK]", "[UNK]", "[MASK]"]
    assert (found.unknown, found.special) == ({2}, {1, 3})


def test_text_that_spells_a_special_token_becomes_it(gpt2: Tokenizer) -> None:
    found = gpt2.encode("a<|endoftext|>b")
    assert (found.ids[1], found.special, gpt2.eos) == (50256, {1}, 50256)


@pytest.mark.parametrize("name", ["gpt2", "wordpiece", "bundled"])
def test_streamed_text_equals_decoded_text(name: str) -> None:
    tokenizer, rng = load(name), random.Random(3)
    for _ in range(100):
        ids = [rng.randrange(tokenizer.size) for _ in range(rng.randint(0, 30))]
        stream = tokenizer.stream()
        assert "".join([*map(stream.step, ids), stream.flush()]) == tokenizer.decode(ids)


def test_stream_never_splits_a_code_point(gpt2: Tokenizer) -> None:
    stream = gpt2.stream()
    pieces = [stream.step(token) for token in gpt2.encode("è 😀!").ids]
    assert "".join(pieces) == "è 😀!"
    assert not any("\ufffd" in piece for piece in pieces)
    half = gpt2.encode("😀").ids[0]
    stream = gpt2.stream()
    assert (stream.step(half), stream.flush(), stream.flush()) == ("", "\ufffd", "")


def test_lone_surrogates_are_replaced_and_offsets_stay(gpt2: Tokenizer) -> None:
    found = gpt2.encode("a\ud800b")
    assert found.ids == gpt2.encode("a\ufffdb").ids
    assert found.ends[-1] == 3


def test_character_vocabulary_follows_its_policy() -> None:
    tokenizer = CharacterTokenizer(Vocabulary("abcefi ’è"), "mine", "a test")
    found = tokenizer.encode("a'e\u0300ﬁ☃c")
    assert [tokenizer.token(token) for token in found.ids] == ["a", "’", "è", "f", "i", "", "c"]
    assert list(zip(found.starts, found.ends, strict=True)) == [(0, 1), (1, 2), (2, 4), (4, 5), (4, 5), (5, 6), (6, 7)]
    assert (found.ids[5], found.unknown) == (UNKNOWN, {5})
    assert tokenizer.decode(found.ids) == "a’èfi\ufffdc"
    for text in texts(200):
        found = tokenizer.encode(text)
        assert "".join(text[s:e] for s, e in dict.fromkeys(zip(found.starts, found.ends, strict=True))) == text


def test_bundled_equals_the_export_in_transformers() -> None:
    from transformers import AutoTokenizer

    folder = workbench.PROJECT / "checkpoints" / "bundled" / "dante"
    text = "Nel mezzo del cammin di nostra vita\n"
    found = load("bundled").encode(text)
    assert found.ids == AutoTokenizer.from_pretrained(str(folder))(text)["input_ids"]
    assert load(str(folder)).encode("☃").unknown == {0}  # the library would leave it out without a word


def test_run_gives_its_vocabulary_without_torch(verse: Path, known_peak: float, tmp_path: Path) -> None:
    made = workbench.spec(verse, steps=2, evaluate_every=2, sample_every=0)
    run = workbench.new_run(made)
    with pytest.raises(NoTokenizer, match="no checkpoint"):
        load(run.name)
    workbench.train(made, run=run)
    letters = sorted(set(verse.read_text("utf-8")))
    for name in (run.name, "latest", str(run.path)):
        tokenizer = load(name)
        assert [tokenizer.token(index) for index in range(tokenizer.size)] == letters
        assert (tokenizer.kind, tokenizer.source) == ("characters", f"run {run.name}")
    code = "import sys; from engine.tokenization.find import load; load(sys.argv[1]); print(*sorted(sys.modules))"
    said = workbench.python(code, run.name)
    assert said.returncode == 0, said.stderr
    assert not {"torch", "transformers", "textual"} & set(said.stdout.split())


def test_folder_with_tokenizer_json(tmp_path: Path, theirs: dict[str, Any]) -> None:
    theirs["gpt2"].save_pretrained(tmp_path / "mine")
    content = json.loads((tmp_path / "mine" / "tokenizer.json").read_text("utf-8"))
    content["truncation"] = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    (tmp_path / "mine" / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    for path in (tmp_path / "mine", tmp_path / "mine" / "tokenizer.json"):
        tokenizer = load(str(path))
        assert (tokenizer.kind, tokenizer.eos) == ("bpe", 50256)
        assert tokenizer.encode("Hello World ").ids == [15496, 2159, 220]  # whatever the file wants cut off


def test_folder_with_older_files(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nhel\n##lo\n", encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    tokenizer = load(str(tmp_path))
    assert [tokenizer.token(token) for token in tokenizer.encode("hello").ids] == ["hel", "##lo"]


def test_no_truncation_or_padding_of_the_files_survives(tmp_path: Path, wordpiece: Tokenizer) -> None:
    assert len(wordpiece.encode("word " * 600)) == 600


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody/nothing", "HF_HUB_OFFLINE"),
        ("", "no tokenizer named"),
        ("a/b/c", "cannot be the name"),
        ("~nosuchuser/x", "cannot be the name"),
        ("x" * 5000, "cannot be the name"),
        ("\x00", "cannot be the name"),
        ("latest", "no runs"),
    ],
)
def test_names_that_name_nothing(name: str, says: str) -> None:
    with pytest.raises(NoTokenizer, match=says):
        load(name)


@pytest.mark.parametrize("content", ["", "{}", '{"model": 3}', "\x00\x01"])
def test_file_that_is_no_tokenizer(content: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(NoTokenizer, match=r"is not a tokenizer\.json"):
        load(str(tmp_path))


def test_tokenizer_that_breaks_on_the_unknown_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import models

    Backend(models.WordLevel({"a": 0}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(NoTokenizer, match="fails on a text"):
        load(str(tmp_path))


def test_byte_fallback_tokens_are_bytes() -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models

    vocabulary = {"<unk>": 0, "▁a": 1, "<0xE2>": 2, "<0x98>": 3, "<0x83>": 4, "<0xZZ>": 5}
    backend = Backend(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = from_backend(backend, "mine", "a test")
    found = tokenizer.encode("☃")
    assert b"".join(map(tokenizer.piece, found.ids)) == "☃".encode()
    assert (tokenizer.piece(1), tokenizer.piece(5)) == (b" a", b"<0xZZ>")
    stream = tokenizer.stream()
    assert "".join([*map(stream.step, found.ids), stream.flush()]) == "☃"


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(wanted: packaged.PackagedFile) -> Path:
        raise packaged.NotPackaged("install the extra 'bundled'")

    monkeypatch.setattr(packaged, "find", nothing)
    with pytest.raises(NoTokenizer, match=r"HF_HUB_OFFLINE.*install the extra 'bundled'"):
        load("wordpiece")
    assert load("gpt2").size == 50257  # a file of this program


def test_cache_goes_before_what_is_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: dict[str, Any]
) -> None:
    """A cache as the library lays it out, with another vocabulary under GPT-2's name."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--openai-community--gpt2"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    theirs["wordpiece"].save_pretrained(repository / "snapshots" / "abc")
    tokenizer = load("gpt2")
    assert (tokenizer.kind, tokenizer.source) == ("wordpiece", "Hugging Face cache (openai-community/gpt2)")
