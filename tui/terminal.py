"""The terminal before the screen opens: is there one, what can it do, and where stray writes go."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from tui.text import safe

SMALLEST = (60, 20)

QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
"""keeps libraries' own bars and logs off the terminal; set before they are imported"""


def refusal(environment: Mapping[str, str], *, terminal: bool, size: tuple[int, int]) -> str | None:
    """Why the screen cannot open here, and what to do; None when it can."""
    if not terminal:
        return "the full-screen program needs a terminal; without one use a command, see llmlab-tui --help"
    if environment.get("TERM", "") in ("", "dumb"):
        return (
            f"TERM is {environment.get('TERM') or 'not set'}: the full-screen program cannot be shown. "
            "Set TERM (xterm-256color suits most terminals) or use a command, see llmlab-tui --help"
        )
    if size[0] < SMALLEST[0] or size[1] < SMALLEST[1]:
        return (
            f"the terminal has {size[0]}×{size[1]} cells; the screen needs {SMALLEST[0]}×{SMALLEST[1]}. "
            "Enlarge it or use a command, see llmlab-tui --help"
        )
    return None


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that must be set before Textual is imported, none that the user has set already."""
    wanted = QUIET | {"TOKENIZERS_PARALLELISM": "false"}
    wanted["TEXTUAL_FPS"] = "30" if "SSH_CONNECTION" in environment else "60"
    wanted["TEXTUAL_COLOR_SYSTEM"] = {16: "standard", 256: "256", 1 << 24: "truecolor"}[colours(environment)]
    return {name: value for name, value in wanted.items() if name not in environment}


def colours(environment: Mapping[str, str]) -> int:
    """How many colours the terminal shows: 16, 256 or 2^24, by what it says of itself."""
    term = environment.get("TERM", "")
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return 1 << 24
    if "256color" in term or term.startswith(("alacritty", "xterm-ghostty", "xterm-kitty", "foot", "wezterm", "tmux")):
        return 256
    return 16


@contextlib.contextmanager
def guarded(log: Path) -> Iterator[None]:
    """Send what anything writes to stdout and stderr behind Python's back to ``log`` while the screen is open.

    Textual draws on ``sys.__stderr__`` and asks ``sys.__stdout__`` for its size; both keep the terminal, while the
    descriptors 1 and 2 get the log, and what Python logs too, since Textual takes ``sys.stderr``.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept_out, kept_err = os.dup(1), os.dup(2)
    screen: IO[str] = os.fdopen(os.dup(2), "w", encoding="utf-8", newline="")
    before = sys.__stdout__, sys.__stderr__
    sink = _open_log(log)
    sys.__stdout__ = sys.__stderr__ = screen  # type: ignore[misc,assignment]
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    handler = logging.StreamHandler(os.fdopen(sink, "w", encoding="utf-8", errors="replace"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.stream.close()
        os.dup2(kept_out, 1)
        os.dup2(kept_err, 2)
        sys.__stdout__, sys.__stderr__ = before  # type: ignore[misc]
        with contextlib.suppress(OSError):
            screen.close()
        os.close(kept_out)
        os.close(kept_err)


def _open_log(log: Path) -> int:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:  # a read-only home is told when a run is started; the screen opens all the same
        return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)


def announcement(kind: str, text: str) -> str:
    """The sequence by which a terminal shows a notification: OSC ``9`` or ``777``."""
    said = safe(text, lines=False).replace(";", ",")
    return f"\x1b]9;{said}\x07" if kind == "9" else f"\x1b]777;notify;llmlab-tui;{said}\x07"
