"""The form of a comparison of search methods, and a look at the collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from data.hub import Fetched
from engine.retrieve.spec import RetrieveSpec
from engine.runs.spec import typed
from tui.follow.comparison_form import HEAD, CompareForm, Seen, rows_to_read
from tui.text import safe


@dataclass(frozen=True)
class SeenCollection(Seen):
    """A collection, with its first texts."""

    first: tuple[tuple[str, str], ...] = ()
    """documents and queries, with their texts"""

    def samples(self) -> list[Content]:
        lines = []
        for name, text in self.first:
            shown = safe(" ".join(text.split()), lines=False)[:240]
            lines.append(Content.assemble(Content.styled(f"\n{name}  ", "$foreground 60%"), shown))
        return lines


def _seen(values: Mapping[str, str], fetched: Mapping[str, Fetched] | None) -> SeenCollection:
    """What the collection of these values holds; of the Hub's if its files are given."""
    from data import beir

    given = typed(RetrieveSpec, values)
    try:
        most, note = rows_to_read(given["data"])
        if fetched is not None and any(part.bytes for part in fetched.values()):
            most = HEAD
        meant = {field: given[field] for field in ("text_column", "encoding")}
        found = beir.load(given["data"], **meant, most=most, fetched=fetched)
    except beir.BeirError as error:
        return SeenCollection(problem=str(error))
    except OSError as error:
        return SeenCollection(problem=f"could not be read ({error.strerror or error})")
    sizes = [("documents", len(found)), *((f"{split} queries", len(part)) for split, part in found.qrels.items())]
    samples = [(f"document {found.ids[0]}", f"{found.titles[0]}  {found.texts[0]}")]
    if split := found.judged:
        query = next(iter(found.qrels[split]))
        samples.append((f"{split} query {query}", found.queries[query]))
        for row, grade in list(found.relevant(split, query).items())[:2]:
            samples.append((f"relevant to it, grade {grade}: {found.ids[row]}", found.documents[row]))
    return SeenCollection(
        found.source, () if most else tuple(sizes), found.checks, found.repairs, note=note, first=tuple(samples)
    )


class RetrieveForm(CompareForm):
    """With the first document and query beside the fields."""

    DEFAULT = RetrieveSpec()
    PREFIX = "re-"
    FILE = "retrieve.json"
    NOTHING = SeenCollection()
    LOOKED_AT = ("data", "text_column", "encoding")
    FOLDER = True
    EXPLAINED = (
        "BM25 weights the words of the query. The frozen encoder compares vectors: of its first token ([CLS]), or the "
        "mean of all tokens. Hybrid fuses the ranks of BM25 and mean. Trained learns from the train queries: a "
        "projection in seconds, the whole encoder in minutes; slow without a GPU. Your own documents (a table or a "
        "folder of texts) can be searched too."
    )

    see = staticmethod(_seen)
