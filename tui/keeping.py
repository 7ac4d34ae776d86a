"""Writing what is to be kept: off the event loop, one after the other, and never given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Keeper:
    """Does what it is given in the order in which it is given, in a thread of its own.

    Two threads could overtake each other, and an older text would take the place of a newer one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "keeper")

    def soon(self, write: Callable[[], object]) -> None:
        """Do this after everything that was given before. What it raises is lost: it tells its errors itself."""
        self._thread.submit(write)

    async def close(self) -> None:
        """Wait until all of it is done; the event loop goes on meanwhile, since a write may want to tell an error."""
        await asyncio.to_thread(self._thread.shutdown)
