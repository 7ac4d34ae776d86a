"""A question of one's own, ranked by everything that a run has trained and by its language model."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpoints.run import Run
from checkpoints.store import CheckpointError
from data import choices, sources
from data.choices import Item
from data.formats import TableError
from engine.choose import fine_tune
from engine.choose.likelihood import LEADING, ways
from engine.choose.results import read, read_ranker
from engine.choose.runs import spec_of
from engine.comparison.results import TUNED, encoder_of, has_tuned
from engine.encoders.encode import encode_now, machine_for
from engine.encoders.epochs import Tuned
from engine.model_folder import present
from engine.runs.events import ItemJudged
from engine.runs.messages import Control, finish

if TYPE_CHECKING:
    from engine.choose.likelihood import Reader
    from engine.choose.scorer import GroupedHead

ZERO_SHOT, FINETUNE = "zero-shot", "finetune"


def questions_in(file: Path, run: Run) -> tuple[dict[int, Item], list[str]]:
    """The questions of a file by row, counted from 1, and what is wrong with the rows that hold none.

    A folder's splits follow one another. The context is in the column that the spec of ``run`` names, if it does.
    Raises :class:`data.formats.TableError`.
    """
    if (path := sources.existing(str(file))) is None:
        raise TableError(f"there is no file {file}")
    raw = sources.read(path)
    found = choices.read(raw, context_column=spec_of(run).context_column)
    items, problems = {}, [*raw.repairs, *found.told, *found.repairs]
    for number, item in enumerate((item for items in found.items.values() for item in items), 1):
        if isinstance(item, Item):
            items[number] = item
        else:
            problems.append(f"row {number:,} is left out: {item}")
    return items, problems


class Chooser:
    """Every method of a run, opened when it is first asked. One thread at a time."""

    def __init__(self, run: Run) -> None:
        """Raises :class:`checkpoints.store.CheckpointError` when the run holds nothing that could rank."""
        kept = read(run)
        self.run, self._about = run, kept.about
        trained = kept.about.get("rankers")
        self._losses: dict[str, str] = {
            str(method): str(facts.get("loss"))
            for method, facts in (trained.items() if isinstance(trained, dict) else ())
            if isinstance(facts, dict)
        }
        self.methods = list(self._losses)
        if has_tuned(run):
            self.methods.append(FINETUNE)
        if ZERO_SHOT in kept.results:
            self.methods.insert(0, ZERO_SHOT)
        if not self.methods:
            raise CheckpointError(f"{run.name} has no method yet that could rank a question")
        self._rankers: dict[str, GroupedHead] = {}

    def rank(self, item: Item, method: str) -> ItemJudged:
        """An item ranked by one of ``methods``; its place is -1.

        Raises :class:`checkpoints.store.CheckpointError`, :class:`engine.encoders.find.NoEncoder`,
        :class:`engine.lm.find.NoModel` when what the method needs is not there any more, and :class:`ValueError`.
        """
        if method == ZERO_SHOT:
            found = self._reader.score(item)
            return self._told(
                method, item, [one.way(LEADING) for one in found], ways(found), tuple(one.strip for one in found)
            )
        if method == FINETUNE:
            scores = finish(fine_tune.scores(self._tuned, [item], Control()))
        else:
            scores = self._by_ranker(item, method)
        return self._told(method, item, [float(score) for score in scores[0]])

    def _told(
        self, method: str, item: Item, scores: list[float], by: dict[str, Any] | None = None, strips: Any = ()
    ) -> ItemJudged:
        return ItemJudged(method, -1, 1, 1, item.gold, tuple(scores), 0.0, 0.0, 1.0, by or {}, strips)

    def _by_ranker(self, item: Item, method: str) -> Any:
        from engine.choose.scorer import arranged, pair_texts

        if method not in self._rankers:
            self._rankers[method] = read_ranker(self.run, method, self._losses[method])
        length, pooling = int(self._about.get("length", 128)), str(self._about.get("pooling", "mean"))
        questions, choices, pairs = pair_texts([item], length)
        rows = encode_now([*questions, *choices, *pairs], self._machine, length, pooling)
        cut = 1 + len(choices)
        return self._rankers[method].scores(arranged([item], rows[:1], rows[1:cut], rows[cut:]))

    @cached_property
    def _machine(self) -> Any:
        return machine_for(encoder_of(self.run, self._about))

    @cached_property
    def _tuned(self) -> Tuned:
        return fine_tune.load(present(self.run.path / TUNED), int(self._about.get("length", 128)))

    @cached_property
    def _reader(self) -> Reader:
        from engine.choose.likelihood import Reader
        from engine.lm import find as lm

        bare = self._about.get("uninformative")
        model = finish(lm.load(str(self._about.get("model") or "bundled")))
        return Reader(model, bare if isinstance(bare, str) else None)
