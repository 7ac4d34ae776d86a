"""What is imported before the first answer: it decides how soon that comes, however busy the machine is.

Of the screen only the thread of the event loop counts: the others import once the first picture is there.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
HEAVY = {
    *("torch", "transformers", "datasets", "tokenizers", "safetensors", "huggingface_hub"),
    *("numpy", "scipy", "sklearn", "pandas", "pyarrow", "pynvml", "plotext"),
    *("markdown_it", "pygments", "multiprocessing", "http.client", "unittest"),
}
COMMAND = """
import sys
from llmlab_tui.__main__ import main
sys.argv[1:] = {!r}
try:
    main()
except SystemExit:
    pass
finally:
    print(sorted(sys.modules), file=sys.stderr)
"""
SCREEN = """
import asyncio, sys, threading
class Loop:
    names = []
    def find_spec(self, name, *_):
        if threading.current_thread() is threading.main_thread():
            self.names.append(name)
sys.meta_path.insert(0, Loop())
import llmlab_tui
from tui.app import LabApp
async def paint():
    app = LabApp()
    async with app.run_test(size=(120, 40)) as pilot:
        while "Start training" not in "".join(line.text for line in app.screen._compositor.render_strips()):
            await pilot.pause()
asyncio.run(paint())
print(Loop.names, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("program", "kept_out"),
    [
        (COMMAND.format(["--help"]), {"textual", "asyncio"}),
        (COMMAND.format(["runs"]), {"textual", "asyncio", "rich.console"}),
        (SCREEN, {"cyclopts", "email", "rich.markdown", "zoneinfo"}),
    ],
    ids=["help", "runs", "first picture"],
)
def test_nothing_heavy_is_imported_before_the_first_answer(
    program: str, kept_out: set[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LLMLAB_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PROJECT, check=True, timeout=60
    )
    imported = set(ast.literal_eval(done.stderr.splitlines()[-1]))
    assert "checkpoints.home" in imported
    assert imported & (HEAVY | kept_out) == set()
