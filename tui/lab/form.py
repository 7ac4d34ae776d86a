"""The form with the data and models of the lab."""

from __future__ import annotations

from typing import Any

from textual.message import Message

from engine.lab.record import Settings
from tui.follow.form import Form


class SettingsForm(Form):
    """Begins with the settings that are stored; saving them starts nothing."""

    DEFAULT = Settings()
    PREFIX = "lab-"
    GO = "Save"
    FILE = ""

    class Left(Message):
        """Back to the exercises, without a change."""

    def action_leave(self) -> None:
        """Out of a field, then out of the form."""
        if self.query_one(".go").has_focus:
            self.post_message(self.Left())
        else:
            super().action_leave()

    def _recall(self) -> dict[str, str]:
        return {}

    def _remember(self, given: dict[str, str]) -> Any:
        """The settings themselves are stored."""

    def explained(self) -> str:
        return (
            "Bundled data and models work without a network. A name of the Hub, a file or a folder takes their place: "
            "claims about the course's data sets are tested on those only. Runs with other settings stay in Runs; "
            "results are those of the settings that are set."
        )
