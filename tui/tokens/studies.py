"""One vocabulary on the screen: its tokenizer, or why there is none, and what is known about its tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from engine.encoding import Tokenizer
from engine.lexicon import Lexicon, Occurrences, corpus, occurrences
from engine.merges import Merges
from engine.tokenizer import NoTokenizer, load
from engine.tokens import Counts, Tokenized, tokenize


@dataclass
class Study:
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
    learnt: bool = field(default=False)

    def load(self) -> None:
        """Find the tokenizer. Slow: files, perhaps a network. Never raises what a name can cause."""
        try:
            self.tokenizer = load(self.name)
        except NoTokenizer as error:
            self.problem = str(error)
        except Exception as error:  # a stranger's files: told in the pane, which goes on
            self.problem = f"it cannot be loaded ({type(error).__name__}: {error})"

    def learn(self, stale: Callable[[], bool]) -> None:
        """Read merges and vocabulary and count the corpus: what the card of a token shows. A second or less."""
        if self.tokenizer is None or self.learnt:
            return
        if self.tokenizer.kind in ("bpe", "other"):
            self.merges = Merges.of(self.tokenizer)
        if stale():
            return
        lexicon = Lexicon(self.tokenizer)
        lexicon.around(0)
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
