"""A stand-in of the Hugging Face Hub on this machine, for the real ``huggingface_hub`` and ``datasets`` libraries.

It speaks as much of the Hub's HTTP interface as they use: repositories' information, trees and paths, files with
``HEAD``, ``GET``, ``ETag`` and ``Range``, large files on another host, repositories that were renamed, and branches.
It can be made to fail as networks do: see :class:`Fault`. The libraries read their address once, so all tests of a
process share one server, which the fixture :func:`stand_in` empties.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

LARGE = (".safetensors", ".parquet", ".gz", ".bin", ".arrow", ".gguf", ".h5")
"""endings of the files that lie on another host, as those in Git LFS do"""
PORTAL = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Welcome to this network</body></html>"


@dataclass
class Fault:
    """What goes wrong with a request; the first of these that is set.

    ``silent``: the request is read and never answered. ``status``: an answer without a file, ``code`` in its header
    ``X-Error-Code`` and ``headers`` beside it. ``portal``: the page of a network that wants a log-in, with status 200.
    Otherwise the file comes, with ``end`` the connection ends and with ``cut`` it is reset after so many bytes of it,
    with ``halt`` no more bytes come after so many, with ``drip`` so many come every hundredth of a second;
    ``wrong_length`` is added to the length that is stated. ``times``: for so many requests only.
    """

    silent: bool = False
    status: int = 0
    code: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    portal: bool = False
    end: int | None = None
    cut: int | None = None
    halt: int | None = None
    drip: int = 0
    wrong_length: int = 0
    times: int = sys.maxsize


@dataclass
class Repository:
    """Files by commit, and the commits of branches and tags."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    token: str = ""
    """without it, the repository does not exist (private) or refuses its files (gated)"""

    def commit(self, revision: str) -> str | None:
        """The commit that a branch, a tag, or itself names."""
        named = self.references.get(revision, revision)
        return named if named in self.commits else None


class StandIn:
    """The server. ``asked`` holds the method and the path of every request; ``sent`` the bytes of files, by path."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.stand_in = self  # type: ignore[attr-defined]
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self.large = f"http://localhost:{self.port}"
        self.over = threading.Event()
        self.clear()
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="stand-in").start()

    def clear(self) -> None:
        """Without repositories and faults; whoever waits for an answer is cut off."""
        self.over.set()
        self.over = threading.Event()
        self.repositories: dict[str, Repository] = {}
        self.renamed: dict[str, str] = {}
        self.faults: list[tuple[re.Pattern[str], Fault]] = []
        self.asked: list[str] = []
        self.tokens: list[str] = []
        self.sent: dict[str, int] = {}
        self.waiting = threading.Event()
        """set once a request is left without an answer, or in the midst of one"""

    def publish(
        self,
        name: str,
        files: Path | Mapping[str, bytes],
        *,
        revision: str = "main",
        gated: bool = False,
        token: str = "",
    ) -> str:
        """Give a repository these files (those of a folder, or by path), and return the commit.

        ``name`` is that of a model, or of a data set after ``datasets/``.
        """
        if isinstance(files, Path):
            files = {
                str(file.relative_to(files)): file.read_bytes() for file in sorted(files.rglob("*")) if file.is_file()
            }
        repository = self.repositories.setdefault(name, Repository())
        digest = hashlib.sha1(name.encode())
        for path, content in sorted(files.items()):
            digest.update(f"\0{path}\0".encode() + content)
        commit = digest.hexdigest()
        repository.commits[commit] = dict(files)
        repository.references[revision] = commit
        repository.gated, repository.token = gated, token
        return commit

    def rename(self, old: str, new: str) -> None:
        """Redirect requests for one repository to another, as the Hub does for those that were renamed."""
        self.renamed[old] = new

    def fail(self, path: str = "", **fault: Any) -> None:
        """From now on requests whose method and path contain this expression meet this :class:`Fault`."""
        self.faults.append((re.compile(path), Fault(**fault)))

    def heal(self) -> None:
        """No faults from now on."""
        self.faults.clear()

    def files(self) -> list[str]:
        """The requests for files' content, without those for anything about them."""
        return [
            asked for asked in self.asked if asked.startswith("GET") and ("/resolve/" in asked or "/large/" in asked)
        ]

    def fault(self, request: str) -> Fault:
        """What the next request of this method and path meets."""
        for pattern, fault in self.faults:
            if fault.times > 0 and pattern.search(request):
                fault.times -= 1
                return fault
        return Fault()

    def blob(self, digest: str) -> bytes | None:
        """The large file of this SHA-256."""
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == digest:
                        return content
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        hub: StandIn = self.server.stand_in
        self.over, self.hub = hub.over, hub
        request = f"{self.command} {unquote(self.path)}"
        hub.asked.append(request)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fault = hub.fault(request)
        with contextlib.suppress(OSError):
            if self.fault.silent:
                self._wait()
            elif self.fault.status:
                self._refuse(self.fault.status, self.fault.code, self.fault.headers)
            elif self.fault.portal:
                self._send(200, PORTAL, {"Content-Type": "text/html"})
            else:
                self._route(urlsplit(unquote(self.path)))

    def _route(self, url: Any) -> None:
        if url.path == "/":
            return self._send(200, b"", {})
        if url.path.startswith("/large/"):
            content = self.hub.blob(url.path.rpartition("/")[2])
            return self._refuse(404) if content is None else self._file(content, {})
        for shape, answer in _ROUTES:
            if found := shape.fullmatch(url.path):
                return self._of_repository(answer, found, parse_qs(url.query))
        return self._refuse(404)

    def _of_repository(self, answer: Any, found: re.Match[str], query: dict[str, list[str]]) -> None:
        parts = found.groupdict()
        name = ("datasets/" if parts["kind"] and "datasets" in parts["kind"] else "") + parts["name"]
        if (now := self.hub.renamed.get(name)) is not None:
            there = self.hub.url + self.path.replace(name, now, 1)
            return self._send(307, b"", {"Location": there})
        repository = self.hub.repositories.get(name)
        token = self.headers.get("Authorization", "")
        self.hub.tokens.append(token)
        known = repository is not None and (not repository.token or token == f"Bearer {repository.token}")
        if repository is None or (not known and not repository.gated):
            return self._refuse(401 if not token else 404, "RepoNotFound", message="Repository not found")
        if not known and "/resolve/" in self.path:
            return self._refuse(403 if token else 401, "GatedRepo", message=f"Access to {name} is restricted")
        revision = parts.get("revision") or "main"
        commit = repository.commit(revision)
        if commit is None:
            return self._refuse(404, "RevisionNotFound", message=f"Invalid rev id: {revision}")
        answer(self, name, commit, repository.commits[commit], parts.get("path") or "", query)
        return None

    def about(self, name: str, commit: str, files: dict[str, bytes], path: str, query: Any) -> None:
        bare = name.removeprefix("datasets/")
        about = {"_id": commit[:24], "id": bare, "sha": commit, "private": False, "gated": False, "tags": []}
        sizes = {file: {"size": len(content)} if "blobs" in query else {} for file, content in files.items()}
        self._json({**about, "siblings": [{"rfilename": file, **size} for file, size in sizes.items()]})

    def tree(self, name: str, commit: str, files: dict[str, bytes], path: str, query: Any) -> None:
        deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        found = _entries(files, path.strip("/"), deep)
        if not found and path.strip("/"):
            return self._refuse(404, "EntryNotFound", message=f"{path} does not exist")
        return self._json(found)

    def paths(self, name: str, commit: str, files: dict[str, bytes], path: str, query: Any) -> None:
        if "json" in self.headers.get("Content-Type", ""):
            wanted = json.loads(self.body)["paths"]
        else:
            wanted = parse_qs(self.body.decode()).get("paths", [])
        every = _entries(files, "", True)
        self._json([entry for entry in every if entry["path"] in wanted])

    def resolve(self, name: str, commit: str, files: dict[str, bytes], path: str, query: Any) -> None:
        content, about = files.get(path), {"X-Repo-Commit": commit}
        if content is None:
            return self._refuse(404, "EntryNotFound", about, message="Entry not found")
        if not path.endswith(LARGE):
            return self._file(content, {**about, "ETag": f'"{_git(content)}"'})
        digest = hashlib.sha256(content).hexdigest()
        about |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": f'"{digest}"'}
        return self._send(302, b"", {**about, "Location": f"{self.hub.large}/large/{digest}"})

    def _file(self, content: bytes, about: dict[str, str]) -> None:
        about = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "Accept-Ranges": "bytes", **about}
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range") or "")
        if part is None:
            return self._send(200, content, about)
        first, last = part.groups()
        start = int(first) if first else max(len(content) - int(last), 0)
        if start >= len(content):
            return self._refuse(416, headers={"Content-Range": f"bytes */{len(content)}"})
        end = min(int(last), len(content) - 1) if first and last else len(content) - 1
        about["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return self._send(206, content[start : end + 1], about)

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _refuse(self, status: int, code: str = "", headers: Mapping[str, str] | None = None, message: str = "") -> None:
        said = {"X-Error-Code": code, "X-Error-Message": message or "this request fails"} if code else {}
        self._send(status, json.dumps({"error": message or "this request fails"}).encode(), {**said, **(headers or {})})

    def _send(self, status: int, content: bytes, about: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in about.items():
            self.send_header(name, value)
        of_file = status in (200, 206) and ("ETag" in about)
        fault = self.fault if of_file and self.command != "HEAD" else Fault()
        self.send_header("Content-Length", str(len(content) + fault.wrong_length))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.wrong_length:
            self.close_connection = True
        if fault.end is not None:
            self._write(content[: fault.end])
            self.close_connection = True
        elif fault.cut is not None:
            self._write(content[: fault.cut])
            # A reset, and not an end: a client could take an end for that of the file.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
        elif fault.halt is not None:
            self._write(content[: fault.halt])
            self._wait()
        elif fault.drip:
            for at in range(0, len(content), fault.drip):
                self._write(content[at : at + fault.drip])
                self.hub.waiting.set()
                if self.over.wait(0.01):
                    self.close_connection = True
                    return
        else:
            self._write(content)

    def _write(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()
        self.hub.sent[self.path] = self.hub.sent.get(self.path, 0) + len(content)

    def _wait(self) -> None:
        self.hub.waiting.set()
        self.over.wait()
        self.close_connection = True


# A data set's configuration may be in the name of a branch (refs/convert/parquet), which has slashes of its own.
_NAME = r"(?P<name>[\w.-]+(/[\w.-]+)?)"
_REVISION = r"(?P<revision>refs/\w+/\w+|[^/]+)"
_ROUTES = [
    (re.compile(rf"/api/(?P<kind>models|datasets)/{_NAME}/tree/{_REVISION}(?P<path>/.*)?"), _Handler.tree),
    (re.compile(rf"/api/(?P<kind>models|datasets)/{_NAME}/paths-info/{_REVISION}"), _Handler.paths),
    (re.compile(rf"/api/(?P<kind>models|datasets)/{_NAME}/revision/{_REVISION}"), _Handler.about),
    (re.compile(rf"/api/(?P<kind>models|datasets)/{_NAME}"), _Handler.about),
    (re.compile(rf"/(?P<kind>datasets/)?{_NAME}/resolve/{_REVISION}/(?P<path>.+)"), _Handler.resolve),
]


def _git(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _entries(files: Mapping[str, bytes], folder: str, deep: bool) -> list[dict[str, Any]]:
    """The files and folders in a folder, as the Hub lists them."""
    found: dict[str, dict[str, Any]] = {}
    start = f"{folder}/" if folder else ""
    for path, content in files.items():
        if not path.startswith(start):
            continue
        parts = path[len(start) :].split("/")
        for depth in range(1, len(parts) if deep else min(len(parts), 2)):
            inner = start + "/".join(parts[:depth])
            found[inner] = {"type": "directory", "path": inner, "oid": _git(inner.encode()), "size": 0}
        if deep or len(parts) == 1:
            entry = {"type": "file", "path": path, "oid": _git(content), "size": len(content)}
            if path.endswith(LARGE):
                digest = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 130}
            found[path] = entry
    return list(found.values())


@contextlib.contextmanager
def dropping() -> Iterator[str]:
    """The address of a host that answers no packet, not even to connect: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


_shared: list[StandIn] = []


def shared() -> StandIn:
    """The server of this process, started when it is first needed."""
    if not _shared:
        _shared.append(StandIn())
    return _shared[0]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """An empty Hub, and an empty Hugging Face home, for the libraries in this process and for those it starts.

    A test of data sets imports ``datasets`` before.
    """
    server = shared()
    server.clear()
    point_at(server.url, tmp_path / "hf", monkeypatch)
    yield server
    server.clear()


def point_at(url: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the libraries take this address for the Hub's and this folder for the Hugging Face home.

    They read both when they are imported, hence the constants beside the variables.
    """
    from huggingface_hub import constants, hf_api
    from huggingface_hub.utils import _http

    from engine import hub_requests

    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(hf_api.api, "endpoint", url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    if "datasets" in sys.modules:
        from datasets import config
        from huggingface_hub import HfFileSystem

        monkeypatch.setattr(config, "HF_ENDPOINT", url)
        monkeypatch.setattr(config, "HUB_DATASETS_URL", url + "/datasets/{repo_id}/resolve/{revision}/{path}")
        monkeypatch.setattr(config, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(config, "HF_UPDATE_DOWNLOAD_COUNTS", False)
        monkeypatch.setattr(config, "HF_DATASETS_CACHE", home / "datasets")
        monkeypatch.setattr(config, "HF_MODULES_CACHE", str(home / "modules"))
        monkeypatch.setattr(config, "DOWNLOADED_DATASETS_PATH", home / "datasets" / "downloads")
        monkeypatch.setattr(config, "EXTRACTED_DATASETS_PATH", home / "datasets" / "downloads" / "extracted")
        HfFileSystem.clear_instance_cache()
    for name in (
        "HF_TOKEN",
        "HF_HUB_CACHE",
        "HF_DATASETS_CACHE",
        "HUGGING_FACE_HUB_TOKEN",
        "http_proxy",
        "https_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_UPDATE_DOWNLOAD_COUNTS", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    hub_requests._answers.clear()
    _http.close_session()
