"""Epochs of a training on the disk, under a name that its data and settings decide: a later start goes on after them.

The last epoch and the best are kept, each a checkpoint with weights and optimizer. They are removed when what came of
the training is in safety.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpoints import home, store
from checkpoints.lock import Lock, Locked
from engine.runs.events import Event, Notice
from engine.runs.writes import PendingWrites

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

SOURCE = "finetune"  # of the notices
LOCK = "lock"  # the file in the folder that says who owns it


@dataclass(frozen=True)
class Found:
    """Where a training stood when its last epoch had ended."""

    state: Mapping[str, Any]
    """what was kept with the last epoch"""
    best: dict[str, Tensor]
    """the best epoch's weights"""
    best_files: Mapping[str, bytes]
    """the other files that were kept with it"""


class EpochCheckpoints:
    """The folder of one training's epochs, owned until this is left. Where it cannot be had, nothing is kept.

    ``parts`` is all that decides the training, as JSON can hold it.
    """

    def __init__(self, *parts: Any) -> None:
        self.writes = PendingWrites("warning")
        made = json.dumps(parts, sort_keys=True)
        self.folder = home.cache() / "finetune" / hashlib.sha256(made.encode()).hexdigest()[:32]
        self._lock: Lock | None = None
        self._failure = ""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = Lock(self.folder / LOCK)
        except (OSError, Locked) as error:
            self._failure = f"epochs are not kept for a later start ({error})"

    def __enter__(self) -> EpochCheckpoints:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Leave the epochs to whoever goes on with them. Harmless when called twice."""
        if self._lock is not None:
            self.writes.flush()
            self._lock.release()

    def resume(
        self, model: nn.Module, optimizer: Optimizer, best: Callable[[Mapping[str, Any]], int]
    ) -> Generator[Event, None, Found | None]:
        """Bring model and optimizer, both fresh, to where the newest readable epoch ended.

        None where there is none: both are as fresh as before then. ``best`` tells from what was kept with an epoch
        which one was the best so far.
        """
        from checkpoints.state import MODEL, OPTIMIZER, restore_model, restore_optimizer

        if self._lock is None:
            yield Notice(self._failure, "warning", SOURCE)
            return None
        store.sweep(self.folder)
        fresh: dict[str, Tensor] = {}
        for epoch in store.checkpoints(self.folder):
            try:
                state, files = store.read(epoch)
                best_files = store.read(self.folder / store.name_of(best(state)))[1]
                fresh = fresh or weights_of(model)
                restore_model(model, best_files)
                weights = weights_of(model)
                restore_model(model, files)
                restore_optimizer(model, optimizer, files)
            except (store.CheckpointError, LookupError, TypeError, ValueError) as error:
                yield Notice(f"an epoch that was kept is passed over: {error}", "warning", SOURCE)
                continue
            more = {name: content for name, content in best_files.items() if name not in (MODEL, OPTIMIZER)}
            return Found(state, weights, more)
        if fresh:
            model.load_state_dict(fresh)
            optimizer.state.clear()
        return None

    def put(
        self,
        epoch: int,
        model: nn.Module,
        optimizer: Optimizer,
        state: dict[str, Any],
        *,
        best: int,
        more: Mapping[str, bytes] | None = None,
    ) -> Iterator[Event]:
        """Put an epoch on the disk, with ``more`` files; of those before, the ``best`` stays.

        One that cannot be written is tried again, see :class:`PendingWrites`. Where the best is not there,
        nothing is removed: nothing on the disk goes on to this epoch's end.
        """
        from checkpoints.state import capture

        if self._lock is None:
            return
        files = {**capture(model, optimizer).encode(), **(more or {})}

        def write() -> None:
            store.commit(self.folder, epoch, files, state)
            if self._whole(best):
                store.prune(self.folder, newest=epoch, keep_last=1, keep=frozenset({best}))

        # The best and the last wait apart: a later one never takes the place of the best.
        self.writes.put(f"{'the best' if epoch == best else 'the last'} epoch", write)
        yield from self.writes.report()

    def clear(self) -> None:
        """What came of the training is in safety: nothing is left to go on with.

        The lock stays: removed, it would be owned by whoever waits for it and again by whoever makes it anew.
        """
        if self._lock is None:
            return
        self.writes = PendingWrites("warning")
        with contextlib.suppress(OSError):
            for entry in self.folder.iterdir():
                if entry.name != LOCK:
                    store.remove(entry)

    def _whole(self, epoch: int) -> bool:
        try:
            store.read_state(self.folder / store.name_of(epoch))
        except store.CheckpointError:
            return False
        return True


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of everything in ``model``, on the CPU, which later training does not change."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in model.state_dict().items()}
