"""What the program sends to the terminal: the cells that have changed, in the colours that it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import RenderableType
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.events import Resize
from textual.filter import LineFilter
from textual.screen import Screen

from tui import themes
from tui.changes import Changes, Layout, Picture
from tui.driver import TerminalDriver
from tui.ending import EndingApp
from tui.follow import last_values
from tui.terminal import SMALLEST


class TerminalApp(EndingApp):
    """Remembers what is on the terminal, and has themes for those with few colours too."""

    def __init__(self, theme: str = "") -> None:
        """``theme`` is the name of a theme, or empty."""
        super().__init__(driver_class=TerminalDriver)
        self.animation_level = "none"  # every frame of a page that glides is sent
        self._picture = Picture()
        for known in (themes.DARK, themes.LIGHT, themes.SIXTEEN):
            self.register_theme(known)
        self.few = self.no_color or theme == themes.SIXTEEN.name
        """whether the terminal shows no more than 16 colours: then there is one theme"""
        self.theme = themes.SIXTEEN.name if self.few else theme if theme in themes.CYCLE else themes.DARK.name
        self._few_colours = themes.FewColours(none=self.no_color)
        self.ansi_theme_dark, self.ansi_theme_light = themes.ANSI_DARK, themes.ANSI_LIGHT

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Without colours Textual's own filter would draw black on black where there are 16."""
        if self.no_color or self.native_ansi_color:
            return [self._few_colours]
        return super().get_line_filters()

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Send the cells that changed only: Textual would send whole lines, and the whole screen after a layout."""
        if isinstance(renderable, ChopsUpdate):
            renderable = Changes(renderable.chops, renderable.spans, renderable.chop_ends)
            renderable.picture = self._picture
        elif isinstance(renderable, LayoutUpdate):
            renderable = Layout(renderable, self._picture)
            if renderable.empty:
                return
        super()._display(screen, renderable)

    def on_resize(self, event: Resize) -> None:
        self._picture.forget()
        small = event.size.width < SMALLEST[0] or event.size.height < SMALLEST[1]
        for screen in self.screen_stack:
            screen.set_class(small, "-small")

    def action_repaint(self) -> None:
        """Draw everything again, also what should be on the terminal already: something may have removed it.

        Other layouts, such as that after a dialog was closed, send only what they change.
        """
        self._picture.forget()
        self.refresh(layout=True)

    def action_theme(self) -> None:
        """The next theme."""
        where = themes.CYCLE.index(self.theme) if self.theme in themes.CYCLE else -1
        self.theme = themes.CYCLE[(where + 1) % len(themes.CYCLE)]
        last_values.write("screen.json", {"theme": self.theme})
