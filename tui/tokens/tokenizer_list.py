"""The vocabularies beside each other on the screen: what is known of each, and the text that all of them cut."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.tokenization.encoding import NoTokenizer, Tokenizer
from engine.tokenization.find import load
from engine.tokenization.lexicon import Lexicon, Merges, Occurrences, corpus, occurrences
from engine.tokenization.spans import Counts, Token, Tokenized, tokenize


@dataclass
class TokenizerEntry:
    """Begins as a name; threads fill in the rest, each field once."""

    name: str
    tokenizer: Tokenizer | None = None
    problem: str = ""
    view: Tokenized | None = None
    """the newest text in this vocabulary; what the next edit starts from"""
    merges: Merges | None = None
    lexicon: Lexicon | None = None
    occurrences: Occurrences | None = None
    reference: Counts | None = None
    learnt: bool = False

    def load(self) -> None:
        """Find the tokenizer. Slow: files, perhaps a network. Never raises what a name can cause."""
        try:
            self.tokenizer = load(self.name)
        except NoTokenizer as error:
            self.problem = str(error)
        except Exception as error:  # a stranger's files: told in the pane, which goes on
            self.problem = f"could not be loaded ({type(error).__name__}: {error})"

    def learn(self, stale: Callable[[], bool]) -> None:
        """Read merges and vocabulary and count the corpus: what the card of a token shows. A second or less."""
        if self.tokenizer is None or self.learnt:
            return
        if self.tokenizer.kind in ("bpe", "other"):
            self.merges = Merges.of(self.tokenizer)
        if stale():
            return
        lexicon = Lexicon(self.tokenizer)
        lexicon.prepare()
        self.lexicon = lexicon
        self.occurrences = occurrences(self.tokenizer, *corpus(), stale=stale)
        self.learnt = self.occurrences is not None

    def compare(self, reference: str) -> None:
        """Count ``reference``, the text that others are measured against."""
        if self.tokenizer is not None:
            view = tokenize(self.tokenizer, reference)
            self.reference = view.counts if view else None

    def against_reference(self) -> float | None:
        """Tokens per character here over tokens per character of the reference; above 1 this text costs more."""
        if self.view is None or self.reference is None:
            return None
        here, there = self.view.counts, self.reference
        if not (here.characters and there.characters and there.tokens):
            return None
        return (here.tokens / here.characters) / (there.tokens / there.characters)


class TokenizerList:
    """Vocabularies in the order of their rows. ``text`` is what every view in ``views`` is of."""

    def __init__(self) -> None:
        self.entries: list[TokenizerEntry] = []
        self.text = ""
        self._primary = 0

    @property
    def ready(self) -> list[TokenizerEntry]:
        """Those that show the text."""
        return [entry for entry in self.entries if entry.view is not None]

    @property
    def views(self) -> list[Tokenized]:
        """The text in each of them."""
        return [entry.view for entry in self.entries if entry.view is not None]

    @property
    def current(self) -> TokenizerEntry | None:
        """The one whose card is shown and whose tokens the arrows walk over."""
        ready = self.ready
        return ready[min(self._primary, len(ready) - 1)] if ready else None

    def put(self, text: str, views: Sequence[Tokenized]) -> None:
        """Show another text, or the same one in other vocabularies."""
        by_tokenizer = {view.tokenizer: view for view in views}
        for entry in self.entries:
            entry.view = by_tokenizer.get(entry.tokenizer) if entry.tokenizer is not None else None
        self.text = text

    def next(self) -> None:
        """Card and arrows to the next one."""
        if ready := self.ready:
            self._primary = (min(self._primary, len(ready) - 1) + 1) % len(ready)

    def remove(self) -> bool:
        """Take one away: one that could not be loaded, else the one whose card is shown."""
        gone = next((entry for entry in self.entries if entry.problem), self.current)
        if gone is not None:
            self.entries.remove(gone)
            self._primary = max(0, min(self._primary, len(self.ready) - 1))
        return gone is not None

    def under(self, entry: TokenizerEntry, caret: int) -> Token | None:
        """The token that holds the character at ``caret``, or at the end of the text the last one."""
        view = entry.view
        if view is None:
            return None
        place = min(caret, max(0, view.counts.characters - 1))
        index = view.at(place)
        if index is None:
            return None
        token = view.token(index)
        return token if token.start <= place else None

    def beside(self, entry: TokenizerEntry, token: Token | None, caret: int) -> Token | None:
        """What another vocabulary makes of the same place: its first token that touches ``token``."""
        if token is None or entry.view is None:
            return self.under(entry, caret)
        index = entry.view.at(token.start)
        found = entry.view.token(index) if index is not None else None
        return found if found is not None and found.start < token.end else None

    def line(self, caret: int) -> tuple[int, int]:
        """Where the line of ``caret`` begins and ends, without its line break."""
        caret = min(caret, len(self.text))
        end = self.text.find("\n", caret)
        return self.text.rfind("\n", 0, caret) + 1, len(self.text) if end < 0 else end

    def said(self) -> list[tuple[str, bool]]:
        """Lines to say above the rows, with whether something is wrong: what loads, what failed."""
        if not self.entries:
            names = "gpt2, wordpiece, smollm2, bundled, a run, a path, a Hub name"
            return [(f"No vocabulary. a adds one: {names}.", False)]
        said = [(f"{entry.name}: {entry.problem}", True) for entry in self.entries if entry.problem]
        loading = [entry for entry in self.entries if not entry.problem and entry.tokenizer is None]
        return said + [(f"{entry.name}: loading…", False) for entry in loading]
