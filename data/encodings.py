"""Bytes as text: which encoding a file has, and its text with what could not be decoded counted.

In this order: a byte order mark; UTF-16 or UTF-32 without one; UTF-8, also with a small share of bad bytes; a Latin
alphabet in cp1252; what charset-normalizer finds for other scripts; another Latin alphabet; and cp1252.
"""

from __future__ import annotations

import codecs
import errno
import gzip
import io
import math
import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

BLOCK = 1 << 20  # bytes read at a time
SAMPLE = 1 << 16  # bytes at the beginning of a file that its encoding is found by
STRIDE = 1 << 18  # bytes behind it, of each of which a piece is looked at
PIECE = 1 << 14  # bytes of a piece
PIECES = 64
COMPRESSED = (".gz", ".zst")
PLAUSIBLE = 0.95  # share of characters that text in UTF-16 consists of at least
MARGIN = 8.0  # nats by which another Latin alphabet must be likelier than those of cp1252, and for each letter
SURPLUS = 0.25

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
_C1 = re.compile("[\x80-\x9f]")  # control characters, as a wrong code page has them
_JIS = re.compile(rb"\x1b\$[@B].*\x1b\([BJ]")  # Japanese of e-mails, in 7 bits
_BAD = "\udfff"  # what stands for a bad sequence while it is counted; no decoder yields it
_ODD = re.compile(f"[{_BAD}\0]")
# Letters outside ASCII of languages written in Latin letters, the most frequent first, by the code page that has them.
_ALPHABETS = {
    "cp1252": (
        *("èàìòùé", "éèàêçâîôûùëïœ", "üäößé", "óíáñéúü", "ãçáéíóêõàúâô", "äåöé", "øåæéòôê", "íðáóþéúæöý", "ëéïóöèü"),
        *("àéóèíòçúï", "äõüöšž", "éäöüàèóíáçñøåßêôîâæãõúùëïìòðþýÿœšž"),  # the last: names and several languages
    ),
    "cp1250": ("łąężśćóńź", "íáěéžýřčšůúňďťóö", "áíčéúžýšľťäňôďóĺŕ", "áéöóőüíúű", "čšžéá", "čćšžđ", "ăîşţâ"),
    "cp1254": ("ıüşöğçİâî",),
    "cp1257": ("ėšųžįąčūę", "āīšēūņļžčģķ"),
}
_VARIANTS = {"cp1250": "iso8859_2", "cp1257": "iso8859_13"}
# Signs that stand beside letters where cp1252 is not what a Latin alphabet is in.
_SIGNS = re.compile(
    r"[^\W\d_][\u0080-\xac\xae-\xb6\xb8-\xbf\ufffd×÷](?=[^\W\d_])"
    r"|[^\W\d_][\u0080-\xa1¢-¦¨¬¯±´µ¶¸¼-¿×÷]|[\u0080-\xa0¢-¦¨¬¯±²³´¶¸¹¼½¾×÷][^\W\d_]"
)
_WIDE = {"shift_jis": "cp932", "euc_jp": "euc_jis_2004", "euc_kr": "cp949", "big5": "big5hkscs", "gb18030": "gb18030"}
_BESIDE_WORDS = dict.fromkeys(map(ord, "’‘“”„«»–—…·•°€©®§"))
# Characters that make up a good part of any text in Chinese, Japanese or Korean.
_FREQUENT = frozenset(
    "的一是不了在人有我他这这個个們们中來来上大為为和國国地到以說说時时要就出會会可也你對对生能而子那得於于著着下自之年過过發发後后作裡里"
    "用道行所然家種种事成方多經经麼么去法學学如都同現现當当沒没動动面起看定天分還还進进好小部其些主樣样理心本前開开但因只從从想實实日者意"
    "無无力它與与長长把機机民第公此已工使情明性知全三又關关點点正業业外將将兩两高間间由問问很最重並并物手應应向頭头文體体相見见被利二等或"
    "新己制身加月話话合回特代內内信表化老給给世位次度門门常先通原東东提立及比解水名真各入口平系氣气題题"
    "이다는을의에가고하지로한은기도사를인어리대시나정자스라아일해서그전들와적으제수있부장과동관상여주구보원조유만，。、！？：；「」（）・ー"
) | frozenset(map(chr, range(0x3041, 0x30FB)))
FREQUENT = 0.25  # share of them from which a text is one of those
_SINGLE_BYTE = (
    *("cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "cp1253", "iso8859_7", "cp1255", "iso8859_8"),
    *("cp1256", "iso8859_6", "cp874"),
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
    """Text, its codec, and how many characters were replaced by U+FFFD since it does not know them, or dropped as NUL.

    ``first`` is the line (from 1) of the first of them; 0 where there is none.
    """

    text: str
    encoding: str
    replaced: int = 0
    first: int = 0


def notices(name: str, encoding: str, replaced: int, first: int) -> list[str]:
    """Sentences about how the file ``name`` was decoded (see :class:`Decoded`); none for flawless UTF-8."""
    found = []
    if title(encoding) != "UTF-8":
        found.append(f"{name} is read as {title(encoding)}")
    if replaced:
        bad = "1 character is" if replaced == 1 else f"{replaced:,} characters are"
        became = "became U+FFFD (NUL is dropped)"
        found.append(f"{name}: {bad} not valid {title(encoding)} and {became}, the first in line {first:,}")
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
    """The text of ``content``: in ``encoding``, or in the one that is found.

    A bad byte costs its character only, which becomes U+FFFD and is counted; so is NUL, which is dropped. Line ends
    stay as they are.
    Raises :class:`TextError` for an unknown ``encoding`` and for binary content.
    """
    if not encoding and (valid := _utf8(content)) is not None:
        return Decoded(valid, "utf-8")
    name = named(encoding) if encoding else _encoding_of(content)
    replaced = first = 0
    try:
        text = content.decode(name)
    except UnicodeDecodeError:
        text = content.decode(name, "llmlab-mark")
    if _BAD in text or "\0" in text:
        text, replaced, first = _unmarked(text)
    return Decoded(text.removeprefix("\ufeff"), "utf-8" if name == "utf-8-sig" else name, replaced, first)


def detect(path: Path, encoding: str = "", *, scan: bool = True) -> str:
    """Name the codec of a file, compressed or not, from pieces of it in bounded memory.

    Where all of them are ASCII the rest of the file is searched for other bytes, unless ``scan`` is False: then only
    the beginning is read. Raises :class:`TextError` as :func:`decode` does, and :class:`OSError`.
    """
    if encoding:
        return named(encoding)
    with open_bytes(path) as file:
        head = file.read(SAMPLE)
        pieces, block = [head], bytearray(STRIDE * (len(head) == SAMPLE))
        while scan and len(pieces) < PIECES and (size := file.readinto(block)):
            del block[size:]
            if found := re.search(rb"[\x80-\xff]", block):
                start = max(0, found.start() - PIECE // 2)
                pieces.append(bytes(block[start : start + PIECE]))
        return _encoding(pieces)


def open_bytes(path: Path) -> io.BufferedReader:
    """A file's bytes, decompressed where its name ends in ``.gz`` or ``.zst``.

    Raises :class:`OSError`, also on reading compressed content that is damaged or cut off.
    """
    if path.suffix.lower() in COMPRESSED:
        return io.BufferedReader(_Decompressed(path), BLOCK)
    return io.BufferedReader(io.FileIO(path), SAMPLE)


def uncompressed(name: str) -> str:
    """The name of a file without the suffix of a compression."""
    return name.removesuffix(".gz").removesuffix(".zst")


class _Decompressed(io.RawIOBase):
    """A compressed file, whatever it raises when it is damaged."""

    def __init__(self, path: Path) -> None:
        self._plain = path.open("rb")
        self._file: Any
        if path.suffix.lower() == ".gz":
            self._file = gzip.GzipFile(fileobj=self._plain)
        else:
            import pyarrow

            self._file = pyarrow.CompressedInputStream(self._plain, "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            block = self._file.read(len(buffer))
        except (EOFError, OSError, ValueError, zlib.error):
            raise OSError(errno.EIO, "its compressed content is damaged or cut off") from None
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        self._plain.close()
        super().close()


class Decoder:
    """Decodes a text piece by piece and counts as :class:`Decoded` does: ``replaced``, ``first``."""

    def __init__(self, encoding: str) -> None:
        self.encoding, self.replaced, self.first = encoding, 0, 0
        self._decoder = codecs.getincrementaldecoder(encoding)("llmlab-mark")
        self._lines, self._begun, self._cr = 1, False, False

    def decode(self, block: bytes, final: bool = False) -> str:
        """The text of the next bytes; what they leave incomplete comes with the next ones."""
        text: str = self._decoder.decode(block, final)
        if not self._begun and text:
            text, self._begun = text.removeprefix("\ufeff"), True
        if _BAD in text or "\0" in text:
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
        """As :func:`notices`, of what was read so far."""
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
    """``text`` with U+FFFD for every mark and without NUL, their number, and the line of the first."""
    before = _ODD.split(text, 1)[0]
    replaced = text.count(_BAD) + text.count("\0")
    return text.replace(_BAD, "\ufffd").replace("\0", ""), replaced, _line_ends(before, after_cr) + 1


def _line_ends(text: str, after_cr: bool = False) -> int:
    """How many lines end in ``text``; a line feed that it begins with belongs to a carriage return before it."""
    returns = text.count("\r") - text.count("\r\n") if "\r" in text else 0
    return text.count("\n") + returns - (after_cr and text.startswith("\n"))


# -- which encoding --------------------------------------------------------------------------------------------------


def _utf8(content: bytes) -> str | None:
    """``content`` where it is flawless UTF-8 and text."""
    if b"\0" in content or _JIS.search(content[:SAMPLE]):
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None


def _encoding_of(content: bytes) -> str:
    if len(content) <= 2 * PIECES * PIECE:
        return _encoding([content])
    starts = list(range(0, len(content), len(content) // PIECES))
    try:
        content.decode()
    except UnicodeDecodeError as error:  # what lies here may be all that is not ASCII
        starts.append(max(0, error.start - PIECE // 2))
    return _encoding([content[:SAMPLE], *(content[start : start + PIECE] for start in starts)])


def _encoding(pieces: list[bytes]) -> str:
    """The codec of a file that begins with the first of ``pieces``; the others are from anywhere in it."""
    head = pieces[0]
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if _JIS.search(head):
        return "iso2022_jp"
    sample = head[:SAMPLE]
    nul = sample.count(0)
    # With more spaces than UTF-16 has zeros for, they are a mistake.
    stray = 2 * nul < sample.count(b" ") and not _many_controls(sample.replace(b"\0", b""))
    odd = _many_controls(sample) and not (nul and stray)
    # A terminal's recording may be full of control characters, and is UTF-8.
    if not (odd and nul) and _is_utf8(pieces):
        return "utf-8-sig"
    if odd:
        if wide := _wide(sample):
            return wide
        raise TextError("this is a binary file (it contains NUL or control bytes); a text is needed")
    rich = b"\n".join(map(_rich, pieces))[: 2 * SAMPLE]
    latin = _latin(rich.decode("cp1252", "replace"))
    return _multibyte(rich) or (not latin and _other_script(rich)) or _code_page(rich)


def _many_controls(sample: bytes) -> bool:
    return len(sample) - len(sample.translate(None, _CONTROL)) > len(sample) // 100 + 1


def _wide(sample: bytes) -> str:
    """UTF-16 or UTF-32 without a byte order mark, where that makes text of ``sample``; else nothing."""
    found, best = "", 0.0
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        text = sample[: len(sample) // 4 * 4].decode(encoding, "llmlab-mark")
        good = usual = 0
        for character, count in Counter(text).items():
            if character in "\t\n\r\f" or unicodedata.category(character)[0] in "LMNPSZ":
                good += count
                usual += count * (character < "\x7f" or character in _FREQUENT)
        share = (good + usual) / max(1, len(text))  # of the usual, since few words make Chinese of any order of bytes
        if good >= PLAUSIBLE * len(text) and share > best:
            found, best = encoding, share
    return found


def _is_utf8(pieces: list[bytes]) -> bool:
    """Whether valid sequences of UTF-8 outnumber the bad ones. Pieces may begin and end inside a character."""
    bad = runs = good = 0
    odd: set[int] = set()
    for number, piece in enumerate(pieces):
        if piece.isascii():
            continue
        if number:
            piece = piece.lstrip(bytes(range(0x80, 0xC0)))
        text = codecs.getincrementaldecoder("utf-8")("llmlab-mark").decode(piece)
        marks = text.count(_BAD)
        bad += marks
        runs += len(re.findall(_BAD + "+", text)) if marks else 0
        good += len(text) - len(text.encode("ascii", "ignore")) - marks
        odd |= set(piece.translate(None, bytes(range(128))))
    if not bad and not good:  # ASCII, maybe with the beginning of one character at the very end
        return not odd or bool(re.search(rb"(?:[\xc2\xc3]|[\xe0-\xf4][\x80-\xbf]+)\Z", pieces[-1]))
    return good >= max(1, 2 * bad) or (runs == 1 and good > 0) or odd <= _NO_LETTERS


def _rich(piece: bytes) -> bytes:
    """At most SAMPLE bytes of the lines that are not ASCII; the first, which may begin in a character, comes last."""
    lines = [line for line in piece[: 64 * SAMPLE].split(b"\n") if not line.isascii()]
    return b"\n".join(lines[1:] + lines[:1])[:SAMPLE]


def _latin(text: str) -> bool:
    """Whether most of what is not ASCII stands in words with ASCII letters, or ASCII letters are ten times as many."""
    text = text.translate(_BESIDE_WORDS)
    beside = len(re.findall(r"(?<=[a-zA-Z])[^\x00-\x7f]|[^\x00-\x7f](?=[a-zA-Z])", text))
    wide = len(re.findall(r"[^\x00-\x7f]", text))
    return 2 * beside >= wide or len(re.findall(r"[a-zA-Z]", text)) > 10 * wide


def _code_page(sample: bytes) -> str:
    """The code page of a text in Latin letters: cp1252 unless they are far likelier in another one's language."""
    wide = len(sample.translate(None, bytes(range(128))))
    found, best = "cp1252", _likelihood(sample.decode("cp1252", "replace"), "cp1252") + MARGIN + SURPLUS * wide
    for page in ("cp1250", "cp1254", "cp1257"):
        for encoding in (page, _VARIANTS.get(page, page)):
            likelihood = _likelihood(sample.decode(encoding, "replace"), page)
            if likelihood > best:
                found, best = encoding, likelihood
    return found


def _likelihood(text: str, page: str) -> float:
    """Log-likelihood in nats of the characters outside ASCII, in the language of a code page that they fit best."""
    counts = Counter(character.lower() for character in text if character > "\x7f" and character.isalpha())
    strange = len(_SIGNS.findall(text)) + max(0, text.count("¿") - text.count("?"))
    total = counts.total() + strange

    def of(alphabet: str) -> float:
        shares = {letter: 1 / rank for rank, letter in enumerate(alphabet, 1)}
        sum_of_shares = sum(shares.values()) / 0.98
        known = sum(counts[letter] * math.log(share / sum_of_shares) for letter, share in shares.items())
        unknown = total - sum(counts[letter] for letter in shares)
        return known + unknown * math.log(0.02 / 10)

    return max(map(of, _ALPHABETS[page]))


def _multibyte(sample: bytes) -> str:
    """The encoding in which ``sample`` is Chinese, Japanese or Korean; else nothing."""
    found, best = "", FREQUENT
    for strict, superset in _WIDE.items():
        for encoding in dict.fromkeys((strict, superset)):
            text = sample.decode(encoding, "llmlab-mark")
            wide = [character for character in text if character > "\x7f"]
            bad = wide.count(_BAD)
            if bad > len(wide) // 20 + 1:
                continue
            frequent = [character for character in wide if character in _FREQUENT]
            if len(frequent) > best * len(wide) and len(set(frequent)) > 2:  # fewer may be chance
                found, best = encoding, len(frequent) / len(wide)
            if bad <= len(wide) // 200 + 1:
                break
    return found


def _other_script(sample: bytes) -> str:
    """The encoding of letters other than Latin that charset-normalizer finds; else nothing."""
    from charset_normalizer import from_bytes

    letters = len(sample.translate(None, bytes(range(128))))
    known = [*_SINGLE_BYTE, *_WIDE, *_WIDE.values()]
    tried: dict[bytes, None] = {}
    for encoding in ("cp1252", *known):  # which are refused for one bad byte: that is left out
        text = sample.decode(encoding, "llmlab-mark")
        if text.count(_BAD) <= letters // 50 + 1:
            tried[text.replace(_BAD, "").encode(encoding, "ignore")] = None
    found = [match for clean in tried for match in from_bytes(clean, cp_isolation=[*known, "cp1252", "cp1250"])]
    best = max(found, key=lambda match: match.coherence - match.chaos - bool(_C1.search(str(match))), default=None)
    return str(best.encoding) if best is not None and best.encoding in known else ""
