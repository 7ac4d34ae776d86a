"""A classification in its run directory: written method by method, read back for showing and for predicting.

``results.json`` every report · ``test.jsonl`` texts and labels that they were made on · ``predictions/`` the test
probabilities of each method · ``heads/`` arrays and settings · ``words.json`` the TF-IDF vocabulary · ``finetuned/`` a
folder that ``transformers`` loads · ``classifier.json`` classes, encoder, pooling. Safetensors and JSON, no pickle.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from checkpoints import arrays, store
from checkpoints.run import Run
from engine.classify.baselines import MAJORITY, TFIDF
from engine.comparison.results import UNREADABLE, Earlier, Results, json_lines, reading
from engine.comparison.seeds import mean_of
from engine.comparison.statistics import Report, report_from
from engine.encoders.epochs import METHOD as FINETUNE
from engine.encoders.recorded_steps import rows_of, steps_from
from engine.runs import codec
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.tables import TextData
    from engine.classify.baselines import Words
    from engine.classify.spec import ClassifySpec
    from engine.comparison.heads import Head
    from engine.comparison.labels import Suspect
    from engine.comparison.statistics import Values
    from engine.encoders.find import Encoder
    from engine.runs.events import ContenderStep


class Store(Results):
    """Writes the results of a classification."""

    ABOUT = "classifier.json"
    SAME = ("format", "classes", "pooling", "length", "fingerprint")
    OUTPUTS = ("predictions", "probabilities")
    ITEMS = "test.jsonl"

    def __init__(self, run: Run, spec: ClassifySpec, data: TextData, writes: PendingWrites) -> None:
        """Methods that an earlier start of the run has trained on the same data stay.

        Raises :class:`OSError` when they cannot be read.
        """
        super().__init__(
            run,
            writes,
            {
                "classes": list(data.classes),
                "pooling": spec.pooling,
                "length": spec.length,
                "fingerprint": data.fingerprint,
                "heads": {},
                "words": {},
                "reports": {},
            },
        )
        self._data = data
        self._earlier = self._found()
        if self._about["reports"]:
            writes.json(run.path / "results.json", self._about["reports"])
        rows = zip(data.test.texts, data.test.labels, strict=True)
        self.items(({"text": text, "label": data.classes[label]} for text, label in rows), ascii_only=True)
        writes.json(run.path / "checks.json", {"checks": asdict(data.checks), "repairs": list(data.repairs)})
        self._describe()

    def earlier(self, name: str, key: list[Any] | None) -> Earlier | None:
        """A method that an earlier start has trained; ``key`` is what decides a fine-tuning."""
        if key is None:
            return self._earlier.get(name)
        try:
            return self._judged(name, self._about["reports"][name], self._steps_of_tuned(key))
        except UNREADABLE:
            return None

    def encoder(self, encoder: Encoder, **more: Any) -> None:
        super().encoder(encoder, weights=[str(file) for file in encoder.weights], **more)

    def _drop_encoded(self) -> None:
        for method in {*self._about["reports"], FINETUNE} - {MAJORITY, TFIDF}:
            for held in (self._earlier, self._about["reports"], self._about["heads"]):
                held.pop(method, None)

    def words(self, words: Words) -> None:
        vocabulary = json.dumps({"analyzer": words.analyzer, "vocabulary": words.vocabulary}).encode()
        files = {"words.json": vocabulary, "words.safetensors": arrays.encode({"idf": words.idf})}
        for name, content in files.items():
            self.writes.file(self._run.path / name, content)
        self._about["words"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}

    def head(self, method: str, head: Head, steps: Sequence[ContenderStep] = ()) -> None:
        """``steps`` are told again by whoever takes the head over."""
        import numpy as np

        held = {name: np.asarray(array, np.float32) for name, array in head.arrays().items()}
        self.writes.file(self._run.path / "heads" / f"{method}.safetensors", arrays.encode(held))
        self._about["heads"][method] = {
            "settings": head.settings,
            "parameters": head.parameters,
            "steps": rows_of(steps),
        }
        self._describe()

    def report(self, method: str, report: Report, found: Sequence[NDArray[np.float64]]) -> None:
        """Figures of a method, and what it gave for the test rows by each seed."""
        self.outputs(method, found)
        self._about["reports"][method] = codec.encode(report)
        self._describe()
        about = self._run.path / self.ABOUT  # says what the figures are of
        self.writes.json(self._run.path / "results.json", self._about["reports"], after=(about,))

    def suspects(self, found: tuple[Suspect, ...]) -> None:
        """Each with its text, and the file and row that it was read from."""
        train, rows = self._data.train, []
        for one in found:
            file, line = train.places[one.row]
            rows.append({**asdict(one), "file": file, "line": line, "text": train.texts[one.row]})
        self.writes.json(self._run.path / "suspects.json", {"suspects": rows})

    def _found(self) -> dict[str, Earlier]:
        """Methods with their reports that are whole and were trained on the same rows, read alike.

        Reports of the others stay in ``results.json`` until there are new ones.
        """
        from engine.comparison.heads import head_from

        about = self._earlier_about()
        if about is None or not isinstance(heads := about.get("heads"), dict):
            return {}
        results = about.get("reports") or self._run.read_json("results.json")  # where earlier versions had them
        self._about["reports"] = {method: result for method, result in results.items() if isinstance(result, dict)}
        found = {}
        for method in results:
            try:
                if method == TFIDF:
                    read_words(self._run, about)
                    self._about["words"] = about.get("words", {})
                if method in heads:
                    facts, file = heads[method], self._run.path / "heads" / f"{method}.safetensors"
                    head_from(arrays.read(file), facts["settings"])  # whether it is whole
                    found[method] = self._judged(method, results[method], steps_from(facts.get("steps", ())))
                    self._about["heads"][method] = heads[method]
            except UNREADABLE:
                continue
        return found

    def _judged(self, method: str, result: Any, steps: tuple[ContenderStep, ...]) -> Earlier:
        report_from(result)
        shares = self.outputs_of(self._run, method, len(self._data.test), len(self._data.classes))
        return Earlier(result, shares, steps)


@dataclass(frozen=True)
class ClassifyResults:
    """What a run came to, as far as it got."""

    classes: tuple[str, ...]
    texts: tuple[str, ...]
    """of the test split"""
    labels: tuple[int, ...]
    reports: dict[str, Report]
    probabilities: dict[str, NDArray[np.float64]]
    """method: of every class, for every test text, by its first seed"""
    right: dict[str, Values]
    """method: for every test text the share of seeds that have it right"""
    suspects: tuple[tuple[Suspect, str], ...]
    """training rows whose label looks wrong, each with its text, the most suspicious first"""
    checks: Mapping[str, Any]
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """why the report or the predictions of a method cannot be read"""

    @property
    def leaked(self) -> list[int]:
        """Test rows that are also in train."""
        return list(map(int, self.checks.get("checks", {}).get("leaked", [])))

    def cell(self, method: str, true: int, predicted: int) -> list[int]:
        """Test rows in a cell of the confusion matrix, by the probability of the predicted class.

        The most confident mistakes first; on the diagonal the least confident.
        """
        import numpy as np

        found, gold = self.probabilities[method], np.asarray(self.labels)
        rows = np.flatnonzero((gold == true) & (found.argmax(1) == predicted))
        sure = found[rows, predicted]
        return [int(row) for row in rows[np.argsort(sure if true == predicted else -sure, kind="stable")]]


def right_of(found: Sequence[NDArray[np.float64]], labels: Sequence[int]) -> list[Values]:
    """1 where the most probable class is the true one, else 0 ``(rows,)``, by each seed."""
    import numpy as np

    return [(one.argmax(1) == np.asarray(labels)).astype(float) for one in found]


def read_words(run: Run, about: Mapping[str, Any]) -> Words:
    """TF-IDF of a run whose ``classifier.json`` is ``about``. Raises :class:`OSError`, or as damaged files do."""
    from engine.classify.baselines import words_from

    for name, digest in about.get("words", {}).items():
        if hashlib.sha256(store.read_file(run.path / name)).hexdigest() != digest:
            raise ValueError(f"{name} is damaged: its SHA-256 does not match")
    idf = arrays.read(run.path / "words.safetensors")["idf"]
    told = run.read_json("words.json")
    return words_from(told["vocabulary"], idf, str(told.get("analyzer", "word")))


def read(run: Run) -> ClassifyResults:
    """What ``run`` holds so far. Raises :class:`checkpoints.store.CheckpointError` when it is no classification."""
    from engine.comparison.labels import Suspect

    with reading(f"{run.name} holds no classification that can be read"):
        classes = tuple(map(str, run.read_json(Store.ABOUT)["classes"]))
        place = {name: index for index, name in enumerate(classes)}
        rows = json_lines(run.path / Store.ITEMS)
        reports: dict[str, Report] = {}
        labels = tuple(place[row["label"]] for row in rows)
        shares: dict[str, NDArray[np.float64]] = {}
        right: dict[str, Values] = {}
        unreadable: dict[str, str] = {}
        for method, one in run.read_json("results.json").items():
            try:
                report = report_from(one)
                found = Store.outputs_of(run, method, len(rows), len(classes))
                shares[method], right[method] = found[0], mean_of(right_of(found, labels))
                reports[method] = report
            except UNREADABLE as error:
                unreadable[method] = str(error) or type(error).__name__
        listed = run.read_json("suspects.json").get("suspects", [])
        return ClassifyResults(
            classes,
            tuple(row["text"] for row in rows),
            labels,
            reports,
            shares,
            right,
            tuple((codec.decode(Suspect, one), str(one["text"])) for one in listed),
            run.read_json("checks.json"),
            unreadable,
        )
