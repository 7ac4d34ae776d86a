"""Files become ids: encodings, line ends, refusals, facts, and the same for files that do not fit into memory."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import socket
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from workbench import INFERNO, make_verse

from data import corpus
from data.corpus import Corpus, CorpusError, from_file, from_text
from engine.runs.messages import finish

TEXT = "Più lieve è l’aere,\ne ’l ciel s’apre.\n"


def read(path: Path, tmp_path: Path) -> Corpus:
    return finish(from_file(path, cache=tmp_path / "cache"))


def write(tmp_path: Path, content: bytes, name: str = "text.txt") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_unicode_encodings_give_the_same_corpus(encoding: str, tmp_path: Path) -> None:
    marks = {"utf-16-le-bom": (b"\xff\xfe", "utf-16-le"), "utf-16-be-bom": (b"\xfe\xff", "utf-16-be")}
    mark, codec = marks.get(encoding, (b"", encoding))
    found = read(write(tmp_path, mark + TEXT.encode(codec)), tmp_path)
    assert found.text() == TEXT
    assert found.fingerprint == hashlib.sha256(TEXT.encode()).hexdigest()
    assert found.facts.characters == len(TEXT)
    assert found.vocabulary.characters == tuple(sorted(set(TEXT)))


def test_latin_1_is_what_is_not_unicode(tmp_path: Path) -> None:
    text = TEXT.replace("’", "'")
    assert read(write(tmp_path, text.encode("latin-1")), tmp_path).text() == text


def test_latin_1_is_recognised_by_an_accent_late_in_a_long_file(tmp_path: Path) -> None:
    text = "abcdefg\n" * 150_000 + "perché\n"  # the accent lies behind the first mebibyte
    assert read(write(tmp_path, text.encode("latin-1")), tmp_path).text(-8) == "\nperché\n"


@pytest.mark.parametrize("end", [b"\r\n", b"\r", b"\n"])
def test_line_ends_become_line_feeds(end: bytes, tmp_path: Path) -> None:
    raw = TEXT.encode().replace(b"\n", end)
    found = read(write(tmp_path, raw), tmp_path)
    assert found.text() == TEXT
    assert "\r" not in found.vocabulary.characters


def test_mixed_line_ends_become_line_feeds(tmp_path: Path) -> None:
    assert read(write(tmp_path, b"a\r\nb\rc\n\r\nd"), tmp_path).text() == "a\nb\nc\n\nd"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x7fELF\x02\x01\x00\x00" + bytes(range(256)), "binary file"),
        (bytes(byte for byte in range(1, 256)) * 4, "binary file"),
        (b"", "empty"),
        (b" \r\n\t\n", "white space"),
        (b"\xff\xfea", "white space"),
    ],
)
def test_an_unusable_file_is_refused_by_path_and_reason(content: bytes, says: str, tmp_path: Path) -> None:
    path = write(tmp_path, content)
    with pytest.raises(CorpusError, match=says) as caught:
        read(path, tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder" / ".git").mkdir(parents=True)
    write(tmp_path / "folder" / ".git", b"text", "HEAD")
    with pytest.raises(
        CorpusError, match=r"no text file in this folder; 1 file left out, the first is .git/HEAD: hidden"
    ):
        read(tmp_path / "folder", tmp_path)


def test_a_folder_of_too_many_files_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MOST_FILES", 2)
    opened: list[str] = []
    detect = corpus.encodings.detect
    monkeypatch.setattr(
        corpus.encodings, "detect", lambda file, *rest, **more: opened.append(file.name) or detect(file, *rest, **more)
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in (("1.txt", b"first\n"), ("2.txt", b"")):
        write(folder, content, name)
    assert read(folder, tmp_path).text() == "first\n"
    assert "2.txt" not in opened  # files of /proc have no size and may never end
    write(folder, b"third", "3.txt")
    opened.clear()
    with pytest.raises(CorpusError, match="folder: this folder has more than 2 files"):
        read(folder, tmp_path)
    assert not opened


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"nowhere\.txt: no such file"):
        read(tmp_path / "nowhere.txt", tmp_path)


def test_a_path_through_a_file_is_refused(verse: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Not a directory"):
        read(verse / "text.txt", tmp_path)


def test_a_file_without_read_permission_is_refused(verse: Path, tmp_path: Path) -> None:
    verse.chmod(0)
    if os.access(verse, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(CorpusError, match="Permission denied"):
        read(verse, tmp_path)


def test_a_socket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(path))
        except OSError:
            pytest.skip("the path is too long for a socket here")
        with pytest.raises(CorpusError, match=str(path)):
            read(path, tmp_path)


def brute_force(text: str) -> tuple[float, float]:
    """Entropy of a character, and of a character given the one before, by definition."""
    counts = Counter(text)
    unigram = -sum(n / len(text) * math.log(n / len(text)) for n in counts.values())
    pairs = Counter(pairwise(text))
    firsts = Counter(text[:-1])
    total = len(text) - 1
    bigram = -sum(n / total * math.log(n / firsts[pair[0]]) for pair, n in pairs.items())
    return unigram, bigram


@pytest.mark.parametrize("text", [make_verse(50), "ab" * 100, "aab" * 7, "abcdefgh", "aaaa"])
def test_entropies_are_those_of_the_definition(text: str) -> None:
    facts = from_text(text, name="t", source="t").facts
    unigram, bigram = brute_force(text)
    assert facts.unigram == pytest.approx(unigram, abs=1e-12)
    assert facts.bigram == pytest.approx(bigram, abs=1e-9)
    assert facts.uniform == pytest.approx(math.log(len(set(text))))
    assert (facts.characters, facts.distinct) == (len(text), len(set(text)))


@pytest.mark.parametrize(("chunk", "length", "limit"), [(1, 400, 100), (7, 400, 100), (1000, 4000, None)])
def test_entropies_of_a_large_vocabulary_are_those_of_the_definition(
    chunk: int, length: int, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpus, "CHUNK", chunk)
    monkeypatch.setattr(corpus, "DENSE_LIMIT", limit or corpus.DENSE_LIMIT)
    rng = np.random.default_rng(0)
    text = "".join(map(chr, 0x4E00 + (rng.pareto(0.5, length) * 20).astype(int) % 9000))
    sparse = from_text(text, name="t", source="t").facts
    assert sparse.distinct > corpus.DENSE_LIMIT
    assert (sparse.unigram, sparse.bigram) == pytest.approx(brute_force(text), abs=1e-9)
    monkeypatch.setattr(corpus, "DENSE_LIMIT", 9000)
    assert from_text(text, name="t", source="t").facts == sparse  # to the bit


def test_more_than_256_characters_get_wider_ids() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 2
    found = from_text(text, name="t", source="t")
    assert found.ids.max() == 299
    assert found.text() == text


def test_the_split_is_contiguous_and_whole() -> None:
    found = from_text(make_verse(20), name="t", source="t")
    training, validation = found.split()
    assert len(validation) == len(found.ids) - int(len(found.ids) * 0.9)
    assert np.array_equal(np.concatenate([training, validation]), found.ids)


# Line ends, two-byte and four-byte characters at every offset of a small chunk.
AWKWARD = "".join(f"{'x' * n}è\r\n{'y' * n}\r{'z' * n}\U0001d11e\n\r\n" for n in range(1, 12))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_a_large_file_gives_what_a_small_one_gives(
    encoding: str, chunk: int, memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, AWKWARD.encode(encoding))
    small = read(path, tmp_path)
    monkeypatch.setattr(corpus, "CLEAN_LIMIT", 16)
    monkeypatch.setattr(corpus, "CHUNK", chunk)
    monkeypatch.setattr(corpus, "MEMORY_LIMIT", memory)
    reports = []
    reading = from_file(path, cache=tmp_path / "cache")
    while True:
        try:
            reports.append(next(reading))
        except StopIteration as end:
            large = end.value
            break
    assert large.text() == small.text() == AWKWARD.replace("\r\n", "\n").replace("\r", "\n")
    assert np.array_equal(large.ids, small.ids)
    assert large.ids.dtype == small.ids.dtype
    assert large.fingerprint == small.fingerprint
    assert large.vocabulary.characters == small.vocabulary.characters
    assert large.facts == small.facts
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert reports[-1][1] == reports[-1][2] == 2 * path.stat().st_size


def test_ids_that_do_not_fit_into_memory_are_mapped_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, AWKWARD.encode())
    monkeypatch.setattr(corpus, "CLEAN_LIMIT", 16)
    monkeypatch.setattr(corpus, "MEMORY_LIMIT", 16)
    found = read(path, tmp_path)
    assert isinstance(found.ids, np.memmap)
    files = list((tmp_path / "cache").iterdir())
    assert [file.name for file in files] == [f"{found.fingerprint}.uint8"]
    assert files[0].read_bytes() == found.ids.tobytes()
    assert not found.ids.flags.writeable
    again = read(path, tmp_path)
    assert np.array_equal(again.ids, found.ids)


@pytest.mark.skipif(not INFERNO.exists(), reason="the Inferno is not here")
def test_the_inferno_has_its_known_size(tmp_path: Path) -> None:
    found = read(INFERNO, tmp_path)
    assert (found.facts.characters, found.facts.distinct) == (187_621, 72)
    assert found.cuts == ()
    unigram, bigram = brute_force(found.text())
    assert found.facts.unigram == pytest.approx(unigram)
    assert found.facts.bigram == pytest.approx(bigram)


RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах.\n" * 3


def test_an_encoding_is_told_with_an_excerpt_and_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path, RUSSIAN.encode("koi8_r"))
    found = read(path, tmp_path)
    assert (found.text(), found.encoding) == (RUSSIAN, "koi8_r")
    first = RUSSIAN.split("\n")[0][:60]
    assert found.notices == ("text.txt is read as KOI8-R", f"text.txt begins: {first} / {first}")
    forced = finish(from_file(path, cache=tmp_path, encoding="cp1251"))
    assert (forced.text(), forced.encoding) == (RUSSIAN.encode("koi8_r").decode("cp1251"), "cp1251")
    with pytest.raises(CorpusError, match="'cp99' is not an encoding"):
        finish(from_file(path, cache=tmp_path, encoding="cp99"))


def test_a_bad_byte_is_counted_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytearray((RUSSIAN * 3).encode())
    raw[2 * len(raw) // 3] = raw[-2] = 0xFF
    path = write(tmp_path, bytes(raw))
    expected = raw.decode("utf-8", "replace")
    line = expected[: expected.index("\ufffd")].count("\n") + 1
    for chunk in (corpus.CHUNK, 3):
        monkeypatch.setattr(corpus, "CHUNK", chunk)
        found = read(path, tmp_path)
        assert found.text() == expected
        (notice,) = found.notices
        assert f"{expected.count(chr(0xFFFD))} characters are not valid UTF-8" in notice
        assert notice.endswith(f"the first in line {line}")
        monkeypatch.setattr(corpus, "CLEAN_LIMIT", 16)


def make_folder(folder: Path) -> str:
    """Texts in four encodings, one compressed, among files that are none; returns what a corpus of them holds."""
    (folder / "b").mkdir(parents=True)
    (folder / ".git").mkdir()
    texts = {"1.txt": ("più\r\n", "utf-8"), "2.py": ("x = 'è'", "utf-8-sig"), "b/3": (RUSSIAN, "cp1251")}
    for name, (text, encoding) in texts.items():
        write(folder, text.encode(encoding), name)
    write(folder, gzip.compress("packed\n".encode("utf-16")), "b/4.gz")
    for name, content in (("0.png", b"\x89PNG\r\n\x1a\n" + bytes(50)), ("empty", b""), (".git/HEAD", b"ref")):
        write(folder, content, name)
    (folder / "5.txt").symlink_to("nowhere")
    return f"più\nx = 'è'\n{RUSSIAN}packed\n"


@pytest.mark.parametrize("limit", [corpus.CLEAN_LIMIT, 600, 16])  # in memory, too much found on the way, and at once
def test_a_folder_is_its_texts_in_the_order_of_names(
    limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make_folder(tmp_path / "folder")
    monkeypatch.setattr(corpus, "CLEAN_LIMIT", limit)
    monkeypatch.setattr(corpus, "CHUNK", 5)
    found = read(tmp_path / "folder", tmp_path)
    assert (found.text(), found.name) == (expected, "folder")
    assert found.encoding == "utf-8, cp1251, utf-16"
    read_as, other, left_out, begins = found.notices
    assert read_as == f"1 file read as {'cp1251'}, the first is b/3"
    assert other == "1 file read as UTF-16, the first is b/4.gz"
    assert left_out == "4 files left out, the first is .git/HEAD: hidden"
    assert begins == "folder begins: più / x = 'è'"
    assert found.facts == from_text(expected, name="", source="").facts


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("limit", [corpus.CLEAN_LIMIT, 99])
def test_a_compressed_text_is_its_content(
    suffix: str, limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = AWKWARD.encode()
    packed = gzip.compress(raw) if suffix == ".gz" else pyarrow.compress(raw, "zstd", asbytes=True)
    path = write(tmp_path, packed, f"text.txt{suffix}")
    plain = read(write(tmp_path, raw), tmp_path)
    monkeypatch.setattr(corpus, "CLEAN_LIMIT", limit)
    found = read(path, tmp_path)
    assert (found.text(), found.fingerprint, found.name) == (plain.text(), plain.fingerprint, "text")
    write(tmp_path, packed[:-9], path.name)
    with pytest.raises(CorpusError, match="damaged or cut off"):
        read(path, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "the cat sat on the mat. " * 9,
        "人人生而自由，在尊严和权利上一律平等。" * 9,
        "السَّلَامُ عَلَيْكُمْ وَرَحْمَةُ اللَّهِ" * 5,
        "🙂👩‍👩‍👧 🇮🇹 e\u0301 ñ\n" * 9,
        "def f(x):\n\treturn {'a': x[0]}  # \x0c\n" * 9,
        "नमस्ते दुनिया। ราชอาณาจักรไทย",
    ],
)
def test_any_script_is_read_as_it_is(text: str, tmp_path: Path) -> None:
    found = read(write(tmp_path, text.encode()), tmp_path)
    assert (found.text(), found.notices, found.encoding) == (text, (), "utf-8")
    assert (found.facts.unigram, found.facts.bigram) == pytest.approx(brute_force(text))
    assert found.vocabulary.encode(found.text(0, 1)).ids == found.ids[:1].tolist()


def test_the_head_of_a_large_file_tells_its_encoding(tmp_path: Path) -> None:
    path = write(tmp_path, (RUSSIAN * 4000).encode("cp1251"))
    first = RUSSIAN.split("\n")[0][:60]
    assert corpus.Head.of(path, "", 1 << 20) == corpus.Head(False, "cp1251", f"{first}\n{first}")
    assert corpus.Head.of(path, "koi8-r", 9).encoding == "koi8-r"
    size = path.stat().st_size
    assert [corpus.Head.of(path, "", limit).large for limit in (size, size - 1)] == [False, True]
    make_folder(tmp_path / "folder")
    assert corpus.Head.of(tmp_path / "folder", "", 9) == corpus.Head(True, "utf-8", "più")
