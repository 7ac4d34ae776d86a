"""Search engines with one face: queries in, ranked documents out. BM25, cosine of frozen vectors, and both fused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from checkpoints import store
from data.beir import Collection
from engine.comparison.scripts import bigrams, without_spaces
from engine.encoders import find as encoders
from engine.encoders import index as vector_index
from engine.encoders.encode import encode, encode_now, machine_for
from engine.encoders.find import Encoder
from engine.imports import import_without_jax
from engine.model_folder import present, replaced
from engine.retrieve.metrics import Ranked, fuse, rankings
from engine.retrieve.spec import BM25, CLS, HYBRID, MEAN, TRAINED, RetrieveSpec
from engine.runs.events import Event, Notice
from engine.runs.messages import Control

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from engine.encoders.features import Cost, Features
    from engine.encoders.index import Matrix

_ABOUT = "content.json"  # of a saved BM25 index
FUSED = 1000  # documents of each ranking that are fused
QUERY_TOKENS = 128
CODE = 1  # raise it when the same texts would get other vectors


class Ranker(Protocol):
    """Anything that ranks a collection's documents for a query."""

    @property
    def name(self) -> str: ...

    @property
    def bytes(self) -> int:
        """That its index takes in memory."""
        ...

    def rank(self, queries: Sequence[str], k: int) -> list[Ranked]:
        """At most ``k`` rows of documents for each query, best first; equal scores by row."""
        ...


class Bm25:
    """BM25 as Lucene counts it, through bm25s: words of two letters and more, English stop words out, no stemmer.

    Where the documents' script has no spaces, every two neighbouring characters of it stand in for a word.
    """

    name = BM25

    def __init__(self, collection: Collection) -> None:
        self._library: Any = import_without_jax("bm25s")
        self._bigrams = without_spaces(collection.documents)
        self._index = self._saved(collection) or self._made(collection)
        self.bytes = sum(int(part.nbytes) for part in self._index.scores.values() if hasattr(part, "nbytes"))

    def rank(self, queries: Sequence[str], k: int) -> list[Ranked]:
        """Documents that share a word with the query; those that share none are not ranked."""
        found = []
        for words in self._words(queries):
            known = [word for word in words if word in self._index.vocab_dict]
            found.append(_best(self._index.get_scores(known), k) if known else Ranked((), ()))
        return found

    def terms(self, query: str) -> list[str]:
        """The words of a query that are looked for."""
        return list(dict.fromkeys(self._words([query])[0]))

    def _words(self, texts: Sequence[str]) -> list[list[str]]:
        pairs: Sequence[list[str]] = [[] for _ in texts]
        if self._bigrams:
            pairs, texts = zip(*map(bigrams, texts), strict=True)
        found = self._library.tokenize(list(texts), return_ids=False, show_progress=False)
        return [words + more for words, more in zip(found, pairs, strict=True)]

    def _made(self, collection: Collection) -> Any:
        index = self._library.BM25(k1=1.5, b=0.75)
        words: Any = None
        if self._bigrams:
            words = rows = self._words(collection.documents)
        else:  # numbers, which take less memory
            words = self._library.tokenize(collection.documents, show_progress=False)
            rows = words.ids
        if not any(map(len, rows)):
            words = [[""] for _ in collection.documents]
        index.index(words, show_progress=False)
        with contextlib.suppress(OSError), replaced(_folder(collection)) as folder:
            index.save(folder, show_progress=False)  # where it cannot be kept, the next start makes it again
            store.replace_file(folder / _ABOUT, json.dumps(self._about(collection, folder)).encode())
        return index

    def _saved(self, collection: Collection) -> Any:
        folder = present(_folder(collection))
        with contextlib.suppress(Exception):  # missing or damaged: it is made again
            if store.read_object(folder / _ABOUT) == self._about(collection, folder):
                return self._library.BM25.load(folder, mmap=True)
        return None

    def _about(self, collection: Collection, folder: Path) -> dict[str, Any]:
        """What an index in ``folder`` is made of, and its files."""
        files = {name: digest for name, digest in store.digests(folder).items() if name != _ABOUT}
        kind = "/bigrams" if self._bigrams else ""
        return {"content": f"{CODE}/{collection.corpus_fingerprint}{kind}", "files": files}


class Dense:
    """Cosine of a query's vector with every document's, or with those of the documents in ``pool``."""

    def __init__(
        self, name: str, index: vector_index.Exact, embed: Callable[[Sequence[str]], Matrix], pool: Any = None
    ) -> None:
        """``pool``: the row of the collection for each row of ``index``, where that has only some documents."""
        self.name, self.index, self.embed, self.pool = name, index, embed, pool
        self.bytes = index.bytes

    def rank(self, queries: Sequence[str], k: int) -> list[Ranked]:
        """The nearest documents."""
        rows, scores = self.index.search(self.embed(queries), k)
        return rankings(rows if self.pool is None else self.pool[rows], scores)


class Hybrid:
    """Reciprocal-rank fusion of two rankers."""

    name = HYBRID

    def __init__(self, first: Ranker, second: Ranker) -> None:
        self.parts = (first, second)
        self.bytes = first.bytes + second.bytes

    def rank(self, queries: Sequence[str], k: int) -> list[Ranked]:
        """The fused ranking of the first thousand of each."""
        both = [part.rank(queries, FUSED) for part in self.parts]
        return [fuse(pair).top(k) for pair in zip(*both, strict=True)]


class Embedder:
    """Texts to unit vectors, at once. The encoder is opened for the first of them."""

    def __init__(self, encoder: Encoder, device: str = "auto") -> None:
        self.encoder, self._device = encoder, device

    def __call__(self, texts: Sequence[str], pooling: str = MEAN, projection: Matrix | None = None) -> Matrix:
        """Unit vectors of queries ``(len(texts), width)``, through a ``projection`` ``(width, width)``, if any."""
        return projected(encode_now(list(texts), self._machine, QUERY_TOKENS, pooling, "query"), projection)

    @cached_property
    def _machine(self) -> Any:
        return machine_for(self.encoder, device=self._device)


def projected(features: Matrix, projection: Matrix | None) -> Matrix:
    """Unit vectors of features, through ``projection`` ``(width, width)`` when there is one."""
    return vector_index.unit(features if projection is None else features @ projection.T)


class Rankers:
    """The rankers of one collection, each made when it is first asked for. Not for two threads at once.

    A subclass makes the trained one.
    """

    def __init__(self, spec: RetrieveSpec, collection: Collection) -> None:
        self.spec, self.collection = spec, collection
        self.made: dict[str, Ranker] = {}
        self.encoding = 0.0
        """seconds that have been spent encoding documents and training queries"""
        self._embedders: dict[str, Embedder] = {}
        self._frozen: dict[tuple[str, str], Matrix] = {}

    def ranker(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        """The ranker of a method. Yields what encoding yields.

        Raises :class:`NoEncoder`, :class:`EncodeFailed`, :class:`Stopped`,
        :class:`OSError`.
        """
        if method not in self.made:
            self.made[method] = yield from self._make(method, control)
        return self.made[method]

    def trained(self, control: Control) -> Generator[Event, None, Ranker]:
        """The ranker that was trained on the collection."""
        raise NotImplementedError

    def embedder(self, control: Control, name: str = "") -> Generator[Event, None, Embedder]:
        """The frozen encoder of this name in the spec, else the first, found when it is first needed."""
        name = name or self.spec.encoders[0]
        if name not in self._embedders:
            self._embedders[name] = Embedder((yield from encoders.find(name, control)), self.spec.device)
            yield from self.found(name, self._embedders[name].encoder)
        return self._embedders[name]

    def found(self, name: str, encoder: Encoder) -> Iterator[Event]:
        """What is to be done when a frozen encoder has been found by its name."""
        yield from ()

    def encoded(self, what: str, encoder: Encoder, cost: Cost) -> Iterator[Event]:
        """What is to be done when texts (``documents`` or ``queries``) have been encoded, now or before."""
        yield from ()

    def frozen(self, pooling: str, control: Control, name: str = "") -> Generator[Event, None, Matrix]:
        """Unit vectors of every document by a frozen encoder, see :meth:`embedder`."""
        if (pooling, name) not in self._frozen:
            embedder, methods = (yield from self.embedder(control, name)), set(self.spec.methods)
            # Features of the other pooling are stored too if it is used: encoding it later would take as long again.
            used = {CLS: methods & {CLS}, MEAN: methods & {MEAN, HYBRID, TRAINED}}
            poolings = (pooling, *(name for name, by in used.items() if by))
            self._frozen[pooling, name] = yield from self.vectors(embedder.encoder, control, poolings)
        return self._frozen[pooling, name]

    def vectors(
        self, encoder: Encoder, control: Control, poolings: Sequence[str] = (MEAN,)
    ) -> Generator[Event, None, Matrix]:
        """Unit vectors of every document ``(documents, width)``, mapped from a saved index that was made of the same.

        Where there is none they are made and saved. Their pooling is the first; of the others the features are put on
        the disk too. Yields what :func:`engine.encoders.encode.encode` yields and raises what it raises.
        """
        from engine.device import place

        collection, pooling, length = self.collection, poolings[0], self.spec.length
        dtype = place(self.spec.device).precision
        about = [CODE, encoder.identity, pooling, length, dtype, collection.corpus_fingerprint]
        content = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        folder = vector_index.place(f"{collection.source}/{encoder.name}/{pooling}/{length}/{dtype}/frozen")
        if (found := vector_index.read(folder, content)) is not None:
            yield from self.encoded("documents", encoder, vector_index.cost_of(folder, len(found)))
            return found
        if folder.exists():
            why = "documents or encoder changed since the index was saved, or it is damaged"
            yield Notice(f"{why}: it is made again", "info", "index")
        features = yield from self.features("documents", collection.documents, encoder, control, length, poolings)
        made = vector_index.unit(features.pooled(pooling))
        try:
            vector_index.write(folder, content, made, features.cost)
        except OSError as error:
            yield Notice(f"the index cannot be saved ({error.strerror or error}): kept in memory", "warning", "index")
            return made
        return found if (found := vector_index.read(folder, content)) is not None else made

    def features(
        self, what: str, texts: Sequence[str], encoder: Encoder, control: Control, length: int, poolings: Sequence[str]
    ) -> Generator[Event, None, Features]:
        """Encode texts, see :meth:`encoded`."""
        begun, device = time.monotonic(), self.spec.device
        role = "query" if what == "queries" else "document"
        found = yield from encode(texts, encoder, control, length=length, poolings=poolings, device=device, role=role)
        self.encoding += time.monotonic() - begun
        yield from self.encoded(what, encoder, found.cost)
        return found

    def projected(self, projection: Matrix, control: Control) -> Generator[Event, None, Dense]:
        """The trained ranker of a ``projection`` ``(width, width)`` of frozen vectors."""
        frozen = yield from self.frozen(MEAN, control)
        embedder = yield from self.embedder(control)
        return Dense(TRAINED, self.index(projected(frozen, projection)), partial(embedder, projection=projection))

    def tuned(self, encoder: Encoder, control: Control) -> Generator[Event, None, Dense]:
        """The trained ranker of an ``encoder`` that was trained as a whole."""
        vectors = yield from self.vectors(encoder, control)
        return Dense(TRAINED, self.index(vectors), Embedder(encoder, self.spec.device))

    def index(self, matrix: Matrix) -> vector_index.Exact:
        """A search among vectors, on the device."""
        from engine.device import place

        return vector_index.Exact(matrix, str(place(self.spec.device).device))

    def _make(self, method: str, control: Control) -> Generator[Event, None, Ranker]:
        if method == BM25:
            return Bm25(self.collection)
        if method == HYBRID:
            first = yield from self.ranker(BM25, control)
            return Hybrid(first, (yield from self.ranker(MEAN, control)))
        if method == TRAINED:
            return (yield from self.trained(control))
        if method not in self.spec.frozen:
            raise ValueError(f"no method {method!r}")
        pooling, name = self.spec.frozen[method]
        embedder = yield from self.embedder(control, name)
        matrix = yield from self.frozen(pooling, control, name if method != pooling else "")
        return Dense(method, self.index(matrix), partial(embedder, pooling=pooling))


def _folder(collection: Collection) -> Path:
    """Of the saved BM25 index."""
    return vector_index.place(f"{collection.source}/{BM25}")


def _best(scores: NDArray[np.float32], k: int) -> Ranked:
    """The highest scores above 0, equal ones by row."""
    import numpy as np

    rows = np.flatnonzero(scores > 0)
    if len(rows) > 4 * k:
        least = np.partition(scores[rows], len(rows) - k)[len(rows) - k]
        rows = rows[scores[rows] >= least]
    rows = rows[np.argsort(-scores[rows], kind="stable")][:k]
    return Ranked(tuple(rows.tolist()), tuple(scores[rows].tolist()))
