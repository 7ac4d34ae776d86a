"""The one way for text from models, users and data sets to reach a screen."""

from __future__ import annotations

import re

_TAB = "    "
# Controls (C0 but line break, DEL, C1), marks that change direction or are invisible, lone surrogates, private use
# and non-characters: nothing of it may reach a terminal as itself.
_UNSAFE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"
    "\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)


def safe(text: str, *, lines: bool = True, keep: str = "") -> str:
    """``text`` with everything a terminal could act on made visible.

    C0 controls become their pictures (``␛``), a tab becomes spaces, anything else unsafe becomes ``·`` or, for what
    cannot be encoded, ``�``. Line breaks stay, or become ``⏎`` when ``lines`` is false; what is in ``keep`` stays too.
    The result carries no markup meaning of its own: give it to widgets as text, never as markup.
    """
    text = _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _visible(found), text)
    return text if lines else text.replace("\n", "⏎")


def escaped(content: str) -> str:
    """JSON with ``\\uXXXX`` for everything that :func:`safe` replaces; it means the same."""
    return _UNSAFE.sub(_escape, content)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == 9:
        return _TAB
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "\u2421"
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else "·"


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))
