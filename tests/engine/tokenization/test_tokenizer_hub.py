"""The Hub, played by a server on this machine: what it has is fetched once and cached, what it refuses is told."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from workbench import PROJECT, command, records

TOKENIZER = (PROJECT / "checkpoints" / "bundled" / "dante" / "tokenizer.json").read_bytes()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "/someone/model/resolve/main/tokenizer.json": TOKENIZER,
    "/someone/empty/resolve/main/config.json": b'{"model_type": "nothing known"}',
}


class Hub(BaseHTTPRequestHandler):
    """Answers as the Hub does to what the library asks."""

    asked: list[str] = []

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self) -> bytes:
        path = self.path.replace(COMMIT, "main")
        self.asked.append(path)
        content = FILES.get(path, b"")
        if content:
            self.send_response(200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        else:
            self.send_response(401 if path.startswith("/gated/") else 404)
            kinds = {"/gated/": "GatedRepo", "/someone/": "EntryNotFound"}
            self.send_header(
                "X-Error-Code", next((kind for start, kind in kinds.items() if path.startswith(start)), "RepoNotFound")
            )
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a machine whose Hub is this server."""
    Hub.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kept = {
        name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE" and "proxy" not in name.lower()
    }
    yield {**kept, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path / "cache")}
    server.shutdown()
    server.server_close()


def test_a_tokenizer_is_fetched_once_and_then_cached(surroundings: dict[str, str]) -> None:
    for source in ("the Hub (someone/model)", "Hugging Face cache (someone/model)"):
        said = command("tokenize", "la vita", "--tokenizer", "someone/model", "--json", env=surroundings)
        assert said.returncode == 0, said.stderr
        found = records(said.stdout)[0]
        assert (found["source"], found["kind"], len(found["ids"])) == (source, "characters", 7)
        Hub.asked[:] = [path for path in Hub.asked if source.startswith("the Hub")]
    assert Hub.asked == []


@pytest.mark.parametrize(
    ("name", "says"),
    [("nobody/model", "no public repository of this name"), ("gated/model", "accepted its terms")],
)
def test_what_the_hub_refuses_is_told(name: str, says: str, surroundings: dict[str, str]) -> None:
    said = command("tokenize", "x", "--tokenizer", name, env=surroundings)
    assert said.returncode == 2
    assert says in said.stderr
    assert "Traceback" not in said.stderr


def test_gpt2_is_bundled_when_the_hub_has_it_not(surroundings: dict[str, str]) -> None:
    said = command("tokenize", "Hello World", "--json", env=surroundings)
    assert said.returncode == 0, said.stderr
    found = records(said.stdout)[0]
    assert found["ids"] == [15496, 2159]
    assert found["source"].startswith("bundled")


def test_a_repository_without_a_tokenizer(surroundings: dict[str, str]) -> None:
    said = command("tokenize", "x", "--tokenizer", "someone/empty", env=surroundings)
    assert said.returncode == 2
    assert "Give a folder with tokenizer.json" in said.stderr
    assert "Traceback" not in said.stderr
