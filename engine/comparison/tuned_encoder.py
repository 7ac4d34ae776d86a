"""What the fine-tuned encoders of several comparisons have in common."""

from __future__ import annotations

from dataclasses import dataclass

from engine.comparison.contender import Facts
from engine.encoders.epochs import Settings, Tuned


@dataclass(frozen=True)
class TunedEncoder:
    """A whole encoder that was fine-tuned with ``settings``."""

    tuned: Tuned
    settings: Settings

    @property
    def facts(self) -> Facts:
        tuned, rate = self.tuned, self.settings.peak(self.tuned.encoder.width)
        settings = f"epoch {tuned.best_epoch} of {tuned.epochs}, learning rate {rate:g}"
        return Facts(settings, tuned.parameters, tuned.parameters, tuned.history[tuned.best_epoch - 1][1])
