"""The screen as a picture: an SVG file under the home."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from textual.app import App

from checkpoints import home


async def write(app: App[Any]) -> None:
    """Write what is on the screen into a file, and say where it is."""
    picture = app.export_screenshot()
    path = home.home() / "screenshots" / time.strftime("%Y%m%d-%H%M%S.svg")

    def save() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(picture, encoding="utf-8")

    try:
        await asyncio.to_thread(save)
    except OSError as error:
        app.notify(
            f"{path}: {error.strerror or error}", title="The picture could not be saved", severity="error", markup=False
        )
    else:
        app.notify(str(path), title="Picture saved", markup=False)
