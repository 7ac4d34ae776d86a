"""The text of an editor, with a caret, a selection and a way back. A plain string: a megabyte copies in no time."""

from __future__ import annotations

from dataclasses import dataclass

KEPT = 8_000_000  # characters of what was typed and deleted that can be taken back


@dataclass(frozen=True)
class Edit:
    """At ``start``, ``removed`` became ``inserted``; the caret was at ``caret``."""

    start: int
    removed: str
    inserted: str
    caret: int


class Buffer:
    """Offsets count characters from 0 to ``len(text)``. ``version`` changes exactly when the text does."""

    def __init__(self, text: str = "") -> None:
        self.text, self.caret, self.anchor = text, len(text), len(text)
        self.version = 0
        self._done: list[Edit] = []
        self._undone: list[Edit] = []
        self._kept = 0
        self._joining = False

    @property
    def selection(self) -> tuple[int, int]:
        """First and last offset of what is selected; equal when nothing is."""
        return min(self.caret, self.anchor), max(self.caret, self.anchor)

    @property
    def selected(self) -> str:
        """The selected text."""
        start, end = self.selection
        return self.text[start:end]

    def move(self, offset: int, *, select: bool = False) -> None:
        """Put the caret to ``offset``, or as near as the text goes."""
        self.caret = max(0, min(offset, len(self.text)))
        if not select:
            self.anchor = self.caret
        self._joining = False

    def insert(self, text: str) -> None:
        """Type or paste ``text`` over the selection."""
        self._replace(*self.selection, text, joins=len(text) == 1 and not text.isspace())

    def delete(self, start: int, end: int) -> None:
        """Remove the selection if there is one, else from ``start`` to ``end``."""
        chosen = self.selection
        start, end = chosen if chosen[0] < chosen[1] else (max(0, start), min(end, len(self.text)))
        if start < end:
            self._replace(start, end, "")

    def load(self, text: str) -> None:
        """Another text; undo brings the old one back."""
        if text != self.text:
            self._replace(0, len(self.text), text)
        self.move(0)

    def undo(self) -> bool:
        """Take the last change back."""
        return self._step(self._done, self._undone)

    def redo(self) -> bool:
        """Make it again."""
        return self._step(self._undone, self._done)

    def _step(self, source: list[Edit], target: list[Edit]) -> bool:
        if not source:
            return False
        edit, back = source.pop(), source is self._done
        target.append(edit)
        old, new = (edit.inserted, edit.removed) if back else (edit.removed, edit.inserted)
        self._put(edit.start, edit.start + len(old), new)
        self.move(edit.caret if back else edit.start + len(new))
        return True

    def word_left(self) -> int:
        """Where the word before the caret begins."""
        before = self.text[: self.caret].rstrip()
        return len(before) - len(before.rsplit(None, 1)[-1]) if before else 0

    def word_right(self) -> int:
        """Where the word after the caret ends."""
        after = self.text[self.caret :].lstrip()
        return len(self.text) - len(after) + (len(after.split(None, 1)[0]) if after else 0)

    def line_start(self) -> int:
        """Where the caret's line begins."""
        return self.text.rfind("\n", 0, self.caret) + 1

    def line_end(self) -> int:
        """Where the caret's line ends, before its line break."""
        found = self.text.find("\n", self.caret)
        return len(self.text) if found < 0 else found

    def _replace(self, start: int, end: int, text: str, *, joins: bool = False) -> None:
        edit = Edit(start, self.text[start:end], text, self.caret)
        last = self._done[-1] if self._done else None
        if joins and self._joining and last and not edit.removed and last.start + len(last.inserted) == start:
            self._done[-1] = Edit(last.start, last.removed, last.inserted + text, last.caret)
        else:
            self._done.append(edit)
        self._undone.clear()
        self._kept += len(edit.removed) + len(text)
        while self._kept > KEPT and len(self._done) > 1:
            oldest = self._done.pop(0)
            self._kept -= len(oldest.removed) + len(oldest.inserted)
        self._put(start, end, text)
        self.move(start + len(text))
        self._joining = joins

    def _put(self, start: int, end: int, text: str) -> None:
        self.text = self.text[:start] + text + self.text[end:]
        self.version += 1
