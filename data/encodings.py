"""Bytes as text: which encoding a file has, and its text with what could not be decoded counted.

In this order: a byte order mark; UTF-16 or UTF-32 without one; UTF-8, also with a small share of bad bytes; a Latin
alphabet in cp1252; what charset-normalizer finds for other scripts; another Latin alphabet; and cp1252.
"""

from __future__ import annotations

import codecs
import io
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 20  # bytes read at a time
SAMPLE = 1 << 16  # bytes in each of the pieces that an encoding is found by
PIECES = 16
PLAUSIBLE = 0.95  # share of characters that text in UTF-16 consists of at least
MANY = 0.02  # share of letters outside ASCII from which a language other than the western ones is considered

_MARKS = (  # UTF-32 before UTF-16, whose mark its own begins with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
_CONTROL = bytes(byte for byte in range(32) if byte not in (9, 10, 12, 13, 27))
_NO_LETTERS = frozenset(b"\x81\x8d\x8f\x90\x9d\xfe\xff")  # bytes that make no letter of a western language in cp1252
_BAD = "\udfff"  # what stands for a bad sequence while it is counted; no decoder yields it
# Letters outside ASCII of languages written in Latin letters, by the code page of Windows that has them.
_ALPHABETS = {
    "cp1252": (
        "àèéìíîòóùú",
        "àâæçéèêëîïôœùûüÿ",
        "äöüßé",
        "áéíñóúü",
        "ãáâàçéêíóôõú",
        "åäöé",
        "æøåéòô",
        "áðéíóúýþæö",
        "ëéïóöüèê",
        "àçèéíïòóúü",
        "äõöüšž",
    ),
    "cp1250": ("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "čšžćđ", "ăâîşţ"),
    "cp1254": ("çğıiöşüâîû",),
    "cp1257": ("ąčęėįšųūž", "āčēģīķļņšūž"),
}
_OTHER_LATIN = {"cp1250": ("iso8859_2",), "cp1254": (), "cp1257": ("iso8859_13",)}
_MULTIBYTE = ("shift_jis", "euc_jp", "euc_kr", "big5", "gb18030")
_SUPERSETS = {"big5": "big5hkscs", "shift_jis": "cp932", "euc_jp": "euc_jis_2004", "euc_kr": "cp949"}
_SINGLE_BYTE = (
    *("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "cp1253", "iso8859_7", "cp1255", "iso8859_8"),
    *("cp1256", "iso8859_6", "cp874", "mac_cyrillic"),
)


class TextError(ValueError):
    """A file cannot be used as text; the message says what is wrong with it and what to do."""


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _BAD, error.end


codecs.register_error("llmlab-mark", _mark)


@dataclass(frozen=True)
class Decoded:
    """Text, the codec that it was decoded with, and how many characters U+FFFD stand for bytes that it does not know.

    ``first`` is the line (from 1) of the first of them; 0 where there is none.
    """

    text: str
    encoding: str
    replaced: int = 0
    first: int = 0

    def notices(self, name: str) -> list[str]:
        """What a user should know about how ``name`` was read; empty for flawless UTF-8."""
        return notices(name, self.encoding, self.replaced, self.first)


def notices(name: str, encoding: str, replaced: int, first: int) -> list[str]:
    """Sentences about how the file ``name`` was decoded (see :class:`Decoded`)."""
    found = []
    if title(encoding) != "UTF-8":
        found.append(f"{name} is read as {title(encoding)}")
    if replaced:
        bad = "1 character is" if replaced == 1 else f"{replaced:,} characters are"
        found.append(f"{name}: {bad} not valid {title(encoding)} and became U+FFFD, the first in line {first:,}")
    return found


def title(encoding: str) -> str:
    """How an encoding is called on the screen: ``UTF-8`` for ``utf-8-sig``, ``Shift-JIS`` for ``shift_jis``."""
    known = {"shift_jis": "Shift-JIS", "utf-8-sig": "UTF-8", "latin-1": "Latin-1", "iso8859-1": "Latin-1"}
    name = encoding.lower().replace("iso8859_", "iso8859-")
    return known.get(name) or (name if name.startswith("cp") else name.replace("_", "-").upper())


def named(encoding: str) -> str:
    """The codec that a user names. Raises :class:`TextError` for one that Python does not know or that is no text."""
    try:
        found = codecs.lookup(encoding.strip())
        if not isinstance("".encode(found.name), bytes):
            raise LookupError
        b"a".decode(found.name, "replace")
    except (LookupError, ValueError, UnicodeError):
        raise TextError(
            f"{encoding!r} is not an encoding: name one such as utf-8, cp1252, utf-16, gb18030 or shift_jis, "
            "or leave it empty to have it found"
        ) from None
    return "utf-8-sig" if found.name == "utf-8" else found.name


def decode(content: bytes, encoding: str = "") -> Decoded:
    """The text of ``content``, whole: in ``encoding``, or in the one that is found.

    A bad byte costs its character only, which becomes U+FFFD and is counted. Line ends stay as they are.
    Raises :class:`TextError` for an unknown ``encoding`` and for binary content.
    """
    encoding = named(encoding) if encoding else _encoding([content], whole=True)
    try:
        text, replaced, first = content.decode(encoding), 0, 0
    except UnicodeDecodeError:
        text, replaced, first = _unmarked(content.decode(encoding, "llmlab-mark"))
    if "\0" in text:
        text, nul, line = _unmarked(text.replace("\0", _BAD))
        replaced, first = replaced + nul, min(first or line, line)
    return Decoded(text.removeprefix("\ufeff"), "utf-8" if encoding == "utf-8-sig" else encoding, replaced, first)


def detect(path: Path, encoding: str = "", *, scan: bool = True) -> str:
    """Name the codec of a file, compressed or not, from pieces of it in bounded memory.

    Where all of them are ASCII the rest of the file is searched for other bytes, unless ``scan`` is False: then only
    the beginning is read. Raises :class:`TextError` as :func:`decode` does, and :class:`OSError`.
    """
    if encoding:
        return named(encoding)
    with open_bytes(path) as file:
        head = file.read(SAMPLE)
        pieces = [head]
        while scan and len(pieces) < PIECES and (block := file.read(BLOCK)):
            if not block.isascii():
                middle = next(found.start() for found in re.finditer(rb"[\x80-\xff]", block))
                pieces.append(block[max(0, middle - SAMPLE // 2) :][:SAMPLE])
        return _encoding(pieces, whole=len(head) < SAMPLE)


def open_bytes(path: Path) -> IO[bytes]:
    """A file's bytes, decompressed where it ends in ``.gz`` or ``.zst``. Raises :class:`OSError`."""
    if path.suffix.lower() == ".gz":
        import gzip

        return gzip.open(path, "rb")  # type: ignore[return-value]
    if path.suffix.lower() == ".zst":
        import pyarrow

        return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.OSFile(str(path)), "zstd"), BLOCK)
    return path.open("rb")


class Decoder:
    """Decodes a text piece by piece and counts as :class:`Decoded` does: ``replaced``, ``first``."""

    def __init__(self, encoding: str) -> None:
        self.encoding, self.replaced, self.first = encoding, 0, 0
        self._decoder = codecs.getincrementaldecoder(encoding)("llmlab-mark")
        self._lines, self._begun, self._cr = 1, False, False

    def decode(self, block: bytes, final: bool = False) -> str:
        """The text of the next bytes; what they leave incomplete comes with the next ones."""
        text = self._decoder.decode(block, final)
        if not self._begun and text:
            text, self._begun = text.removeprefix("\ufeff"), True
        if "\0" in text:
            text = text.replace("\0", _BAD)
        if _BAD in text:
            text, replaced, first = _unmarked(text, self._cr)
            self.first = self.first or self._lines + first - 1
            self.replaced += replaced
        if not self.first:
            self._lines += _line_ends(text, self._cr)
            self._cr = text.endswith("\r") if text else self._cr
        return text


class TextStream(io.TextIOWrapper):
    """Lines of a file, decoded. ``decoder`` tells the encoding and what was replaced so far."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.decoder = Decoder(encoding)
        super().__init__(io.BufferedReader(_Recoded(open_bytes(path), self.decoder), BLOCK), "utf-8", newline="")

    def notices(self, name: str) -> list[str]:
        """As :meth:`Decoded.notices`, of what was read so far."""
        return notices(name, self.decoder.encoding, self.decoder.replaced, self.decoder.first)


def open_text(path: Path, encoding: str = "") -> TextStream:
    """A file's text as a stream that keeps line ends, decompressed where its name ends in ``.gz`` or ``.zst``.

    Raises :class:`TextError` as :func:`decode` does, and :class:`OSError`.
    """
    return TextStream(path, detect(path, encoding))


class _Recoded(io.RawIOBase):
    """Bytes of a file in any encoding as UTF-8, which the standard library reads lines of fast."""

    def __init__(self, file: IO[bytes], decoder: Decoder) -> None:
        self._file, self._decoder = file, decoder
        self._held = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held and not self._ended:
            block = self._file.read(BLOCK)
            self._ended = not block
            self._held = memoryview(self._decoder.decode(block, self._ended).encode("utf-8", "replace"))
        size = min(len(buffer), len(self._held))
        buffer[:size] = self._held[:size]
        self._held = self._held[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()


def _unmarked(text: str, after_cr: bool = False) -> tuple[str, int, int]:
    """``text`` with U+FFFD for every mark, their number, and the line of the first."""
    before = text[: text.index(_BAD)]
    return text.replace(_BAD, "\ufffd"), text.count(_BAD), _line_ends(before, after_cr) + 1


def _line_ends(text: str, after_cr: bool = False) -> int:
    """How many lines end in ``text``; a line feed that it begins with belongs to a carriage return before it."""
    return text.count("\n") + text.count("\r") - text.count("\r\n") - (after_cr and text.startswith("\n"))


# -- which encoding --------------------------------------------------------------------------------------------------


def _encoding(pieces: list[bytes], *, whole: bool) -> str:
    """The codec of a file that begins with the first of ``pieces``; the others are from anywhere in it."""
    head = pieces[0]
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    sample = head[:SAMPLE]
    if _controls(sample) > len(sample) // 100 + 1:
        wide = _wide(sample)
        if not wide:
            raise TextError("this is a binary file (it contains NUL or control bytes); a text is needed")
        return wide
    if _is_utf8(pieces, whole):
        return "utf-8-sig"
    rich = b"\n".join(_rich(piece) for piece in pieces)[: 2 * SAMPLE]
    found = _western(rich) or _multibyte(rich)
    if not found and not _latin(rich.decode("cp1252", "replace")):
        found = _other_script(rich)
    return found or _other_latin(rich)


def _controls(sample: bytes) -> int:
    return len(sample) - len(sample.translate(None, _CONTROL))


def _wide(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, where that makes text of ``sample``; else nothing."""
    shares = {}
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        text = sample[: len(sample) // 4 * 4].decode(encoding, "llmlab-mark")
        good = sum(
            count
            for character, count in Counter(text).items()
            if character in "\t\n\r\f" or unicodedata.category(character)[0] in "LMNPSZ"
        )
        shares[encoding] = good / max(1, len(text))
    best = max(shares, key=lambda encoding: shares[encoding])
    return best if shares[best] >= PLAUSIBLE else ""


def _is_utf8(pieces: list[bytes], whole: bool) -> bool:
    """Whether valid sequences of UTF-8 outnumber the bad ones. Pieces may begin and end inside a character."""
    bad = good = 0
    odd: set[int] = set()
    for number, piece in enumerate(pieces):
        if piece.isascii():
            continue
        if number:
            piece = piece.lstrip(bytes(range(0x80, 0xC0)))
        text = codecs.getincrementaldecoder("utf-8")("llmlab-mark").decode(piece)
        marks = text.count(_BAD)
        bad += marks
        good += len(text) - len(text.encode("ascii", "ignore")) - marks
        odd |= set(piece.translate(None, bytes(range(128))))
    if not bad and not good:  # ASCII, maybe with one lead byte at the very end: there it is a letter as often
        return not whole or pieces[0].isascii() or pieces[0][-1:] in (b"\xc2", b"\xc3")
    return good >= max(1, bad) or odd <= _NO_LETTERS


def _rich(piece: bytes) -> bytes:
    """At most SAMPLE bytes of the lines that are not ASCII."""
    lines = [line for line in piece[: 64 * SAMPLE].split(b"\n") if not line.isascii()]
    return b"\n".join(lines)[:SAMPLE]


def _western(sample: bytes) -> str:
    """cp1252 where the letters of one western language make up nearly all that is not ASCII; else nothing."""
    text = sample.decode("cp1252", "replace")
    unknown, letters = _unexplained(text, "cp1252")
    return "cp1252" if unknown <= letters // 20 and (_latin(text) or letters < 3) else ""


def _latin(text: str) -> bool:
    """Whether most letters outside ASCII stand beside ASCII letters."""
    beside = len(re.findall(r"[a-zA-Z][^\W\da-zA-Z_]|[^\W\da-zA-Z_](?=[a-zA-Z])", text))
    return 2 * beside >= len(re.findall(r"[^\W\da-zA-Z_]", text))


def _other_latin(sample: bytes) -> str:
    """The code page whose languages explain the letters far better than the western ones; cp1252 where none does."""
    unknown, letters = _unexplained(sample.decode("cp1252", "replace"), "cp1252")
    found = "cp1252"
    if letters < MANY * len(sample):
        return found
    for page, variants in _OTHER_LATIN.items():
        for encoding in (page, *variants):
            left, _ = _unexplained(sample.decode(encoding, "replace"), page)
            if 3 * left + 1 < unknown:
                unknown, found = 3 * left + 1, encoding
    return found


def _unexplained(text: str, page: str) -> tuple[int, int]:
    """How many characters outside ASCII the best fitting alphabet of a code page lacks, and how many there are.

    Signs beside words, such as quotation marks, count as neither; signs inside words are no letters of any language.
    """
    counts = Counter(character.lower() for character in text if character > "\x7f" and character.isalpha())
    signs = len(re.findall(r"[^\W\d_][\xa1-\xbf\u0080-\u009f\ufffd\xd7\xf7]+(?<!\xb7)[^\W\d_]", text))
    letters = sum(counts.values()) + signs
    explained = max(sum(counts[letter] for letter in set(alphabet)) for alphabet in _ALPHABETS[page])
    return letters - explained, letters


def _multibyte(sample: bytes) -> str:
    """The encoding of Chinese, Japanese or Korean in which charset-normalizer reads ``sample``; else nothing."""
    from charset_normalizer import from_bytes

    for strict in _MULTIBYTE:
        for encoding in (strict, _SUPERSETS.get(strict, strict)):
            text = sample.decode(encoding, "llmlab-mark")
            wide = len(text) - len(text.encode("ascii", "ignore"))
            if wide and text.count(_BAD) <= wide // 20 + 1:
                break
        else:
            continue
        clean = text.replace(_BAD, "").encode(encoding, "ignore")  # it takes no encoding in which a byte is bad
        best = from_bytes(clean, cp_isolation=[*_MULTIBYTE, *_SUPERSETS.values(), *_SINGLE_BYTE, "cp1252"]).best()
        if best is not None and best.encoding in (strict, _SUPERSETS.get(strict)):
            return encoding
    return ""


def _other_script(sample: bytes) -> str:
    """The encoding of letters other than Latin that charset-normalizer finds; else nothing."""
    from charset_normalizer import from_bytes

    counts = Counter(sample.translate(None, bytes(range(128))))
    rare = [byte for byte, count in counts.items() if 60 * count <= counts.total()]  # one of them may be bad
    best = from_bytes(sample.translate(None, bytes(rare)), cp_isolation=[*_SINGLE_BYTE, "cp1252", "cp1250"]).best()
    return str(best.encoding) if best is not None and best.encoding in _SINGLE_BYTE else ""
