"""Bytes become text: the encoding is found, a bad byte costs its character, a stream gives what a whole does."""

from __future__ import annotations

import codecs
import gzip
import io
import random
from pathlib import Path

import pyarrow
import pytest

from data import encodings
from data.encodings import Decoded, TextError, decode, detect, open_text

ITALIAN = (
    "Nel mezzo del cammin di nostra vita\nmi ritrovai per una selva oscura,\nché la diritta via era smarrita.\n" * 4
)
POLISH = "Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.\n" * 3
RUSSIAN = "Все люди рождаются свободными и равными в своём достоинстве и правах.\nОни наделены разумом и совестью.\n"
CHINESE = (
    "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。\n"
    "今天天气很好,我们去公园散步。\n"
)
TAIWANESE = (
    "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。\n"
    "今天天氣很好，我們去公園散步。\n"
)
JAPANESE = (
    "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。\n今日は天気がいいですね。\n"
)
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.\n오늘은 날씨가 아주 좋습니다.\n"
GREEK = (
    "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα.\n"
    "Είναι προικισμένοι με λογική και συνείδηση.\n"
)
TEXTS = [
    (ITALIAN, "cp1252"),
    ("“It’s a good day” – he said… naïve café\n" * 5, "cp1252"),
    (POLISH, "cp1250"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8_r"),
    (GREEK, "cp1253"),
    (CHINESE, "gb18030"),
    (TAIWANESE, "big5"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc_jp"),
    (KOREAN, "euc_kr"),
    *((text, wide) for text in (ITALIAN, RUSSIAN, CHINESE, JAPANESE) for wide in ("utf-16-le", "utf-16-be")),
]


def notices(name: str, found: Decoded) -> list[str]:
    return encodings.notices(name, found.encoding, found.replaced, found.first)


@pytest.mark.parametrize(("text", "encoding"), [*TEXTS, (JAPANESE, "iso2022_jp")])
def test_an_encoding_is_found_and_told(text: str, encoding: str) -> None:
    found = decode(text.encode(encoding))
    assert found.text == text
    assert (found.replaced, found.first) == (0, 0)
    assert notices("a.txt", found) == [f"a.txt is read as {encodings.title(found.encoding)}"]


@pytest.mark.parametrize("mark", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_decides(mark: str) -> None:
    assert decode(CHINESE.encode(mark)).text == CHINESE


@pytest.mark.parametrize("text", [ITALIAN, RUSSIAN, CHINESE, "naïve 🤖\n" * 4])
def test_a_bad_byte_and_a_cut_cost_what_python_replaces(text: str) -> None:
    rng = random.Random(1)
    for _ in range(50):
        raw = bytearray(text.encode() * 3)
        del raw[rng.randrange(len(raw) // 2, len(raw)) :]
        raw[rng.randrange(len(raw) - 1)] = rng.choice(b"\x80\xb3\xff")
        expected = bytes(raw).decode("utf-8", "replace")
        found = decode(bytes(raw))
        assert (found.encoding, found.text, found.replaced) == ("utf-8", expected, expected.count("\ufffd"))
        if found.replaced:
            assert found.first == expected[: expected.index("\ufffd")].count("\n") + 1
            assert f"the first in line {found.first}" in notices("x", found)[0]


def test_an_encoding_that_is_given_is_used_and_a_wrong_name_is_refused() -> None:
    assert decode("ñ".encode("mac_roman"), "mac_roman").text == "ñ"
    assert decode(b"\xef\xbb\xbfa", "UTF-8") == encodings.Decoded("a", "utf-8")
    for name in ("utf-9", "base64", "rot13", "hex", " "):
        with pytest.raises(TextError, match="is not an encoding"):
            decode(b"a", name)


@pytest.mark.parametrize(
    "content", [bytes(range(256)) * 4, b"\x7fELF\x02\x01\x00\x00" * 9, random.Random(0).randbytes(9999)]
)
def test_binary_content_is_refused(content: bytes) -> None:
    with pytest.raises(TextError, match="binary file"):
        decode(content)


def compressed(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        content = gzip.compress(content[:99]) + gzip.compress(content[99:])  # as `cat a.gz b.gz` makes it
    elif path.suffix == ".zst":
        content = b"".join(pyarrow.compress(part, "zstd", asbytes=True) for part in (content[:99], content[99:]))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst"])
@pytest.mark.parametrize(("text", "encoding"), [*TEXTS, (CHINESE, "utf-8"), (RUSSIAN, "utf-8-sig")])
def test_a_stream_gives_the_lines_of_the_whole(
    text: str, encoding: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "BLOCK", 7)
    raw = text.replace("\n", "\r\n").encode(encoding)
    path = compressed(tmp_path / name, raw)
    assert detect(path).removesuffix("-sig") == decode(raw).encoding.removesuffix("-sig")
    with open_text(path) as stream:
        assert list(stream) == list(io.StringIO(decode(raw).text, newline=""))
    assert stream.notices("a") == notices("a", decode(raw))


@pytest.mark.parametrize("block", [1, 2, 3, 8, 100])
def test_a_stream_counts_bad_bytes_as_the_whole_does(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encodings, "BLOCK", block)
    raw = "è\r\nà\rò\nab\r\n".encode() * 3 + b"x\xff\r\n\xe2\x82y\0" + "ù".encode() + b"\xc3"
    (tmp_path / "a").write_bytes(raw)
    with open_text(tmp_path / "a") as stream:
        assert stream.read() == decode(raw).text
    assert (stream.decoder.replaced, stream.decoder.first) == (4, 13)
    assert (decode(raw).replaced, decode(raw).first) == (4, 13)


def test_letters_late_in_a_file_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc defg\n" * 300_000 + RUSSIAN.encode("cp1251"))
    assert detect(path) == "cp1251"
    assert detect(path, scan=False) == "utf-8-sig"
    path.write_bytes(codecs.BOM_UTF8 + b"abc")
    assert detect(path) == "utf-8-sig"


@pytest.mark.parametrize("wide", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [ITALIAN, RUSSIAN, CHINESE, JAPANESE, KOREAN, "hello world\n"])
def test_utf_16_without_a_mark_may_be_cut_anywhere(text: str, wide: str) -> None:
    raw = text.encode(wide)
    for end in range(20, min(len(raw), 120)):
        expected = raw[:end].decode(wide, "replace")
        assert (decode(raw[:end]).encoding, decode(raw[:end]).text) == (wide, expected)


# Western texts in which another rule goes wrong: few letters outside ASCII, repeated ones, signs, single letters.
@pytest.mark.parametrize(
    "text",
    [
        "It’s 5 €, he said – “really?”\n",
        "Passwort zurücksetzen. Passwort zurückgesetzt. Bitte einen gültigen Namen.\n",
        "Il est créé à l’été; où êtes-vous? Ça va, très bien.\n",
        "¿Qué pasó? ¡No sé! La niña comió 1º piña. Nº 3, 2ª planta.\n",
        "È più bello: è così, perché no? à è ì ò ù\n",
        "Área de 5 m², 20 °C ± 1, £5, ½ l, naïve, Brontë, Malmö, Ångström\n",
        "Smørrebrød på gården; þetta er það",
        "col·lecció, l·l, ça, mà, més",
    ],
)
@pytest.mark.parametrize("times", [1, 40])
def test_western_texts_are_cp1252(text: str, times: int) -> None:
    found = decode((text * times).encode("cp1252"))
    assert (found.encoding, found.text) == ("cp1252", text * times)


@pytest.mark.parametrize(("text", "encoding"), [case for case in TEXTS if "utf" not in case[1]])
def test_one_bad_byte_and_a_cut_change_no_encoding(text: str, encoding: str) -> None:
    rng = random.Random(2)
    for _ in range(20):
        raw = bytearray((text * 5).encode(encoding))
        del raw[rng.randrange(len(raw) // 2, len(raw)) :]
        raw[rng.randrange(len(raw))] = rng.choice(b"\x80\x9d\xff")
        found = decode(bytes(raw))
        assert found.text == bytes(raw).decode(found.encoding, "replace")
        assert found.encoding in (encoding, {"euc_kr": "cp949", "big5": "big5hkscs"}.get(encoding))
        assert found.replaced == found.text.count("\ufffd")


def test_control_characters_without_zeros_are_text() -> None:
    text = "\x1b]0;title\x07\x01\x02 più\n" * 5
    assert decode(text.encode()) == encodings.Decoded(text, "utf-8")


def test_ascii_with_a_byte_that_is_no_letter_is_utf8() -> None:
    found = decode(b"abc\n" * 50 + b"a\xffb\n")
    assert (found.encoding, found.replaced, found.first) == ("utf-8", 1, 51)
    assert decode(b"abc\n" * 50 + b"caf\xe9\n").encoding == "cp1252"
