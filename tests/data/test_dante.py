"""The Inferno from a server that misbehaves."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import pytest
from workbench import make_verse

from data import dante
from data.corpus import Corpus, CorpusError, from_text
from data.plaintext import clean
from engine.gpt.spec import TrainSpec
from engine.runs.messages import finish

BOOK = "header\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n"
BOOK += "Canto I\nNel mezzo del cammin di nostra vita\n\n"
BOOK += "".join(f"Canto {number}\n\n{make_verse(200, number)}\n" for number in range(2, 35))
BOOK += "E quindi uscimmo a riveder le stelle.\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence\n"
RAW = BOOK.replace("\n", "\r\n").encode("utf-8-sig")
LOG_IN = b"<html><body>Please log in to this network</body></html>"


class Server:
    """Answers by path; ``asked`` is what was asked for and with what Range."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.breaks_after = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.asked.append((request.path, wanted))
        if request.path == "/missing":
            request.send_error(404)
            return
        if request.path == "/garbage":
            request.wfile.write(b"who are you?\r\n\r\n")
            return
        if request.path == "/chunked":
            request.protocol_version = "HTTP/1.1"
            request.send_response(200)
            request.send_header("Transfer-Encoding", "chunked")
            request.end_headers()
            request.wfile.write(b"ffff\r\nonly the beginning")
            request.close_connection = True
            return
        body = LOG_IN if request.path == "/portal" else RAW
        begin = 0
        if wanted and request.path != "/no-ranges":
            begin = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
            if begin >= len(body):
                request.send_error(416)
                return
        request.send_response(206 if begin else 200)
        request.send_header("Content-Length", str(len(body) - begin))
        request.end_headers()
        if self.breaks_after:
            body, self.breaks_after = body[: begin + self.breaks_after], 0
        request.wfile.write(body[begin:])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """What replaces the Inferno, also where the bundled text is not built yet."""
    made = from_text(make_verse(30), name="dantesque", source="bundled")
    monkeypatch.setattr(dante, "dantesque", lambda: made)
    return made


def load(cache: Path, *urls: str, source: str = "dante") -> Corpus:
    return finish(dante.load(source, cache=cache, urls=urls))


def test_the_inferno_is_fetched_once_checked_and_cached(server: Server, tmp_path: Path) -> None:
    found = load(tmp_path, server.url + "/book")
    assert found.name == "inferno"
    assert found.notices == ()
    assert found.text().startswith("Canto I\nNel mezzo")
    assert found.text().endswith("le stelle.\n")
    assert [entry.name for entry in tmp_path.glob("inferno*")] == ["inferno.txt"]
    again = load(tmp_path, server.url + "/book")
    assert again.fingerprint == found.fingerprint
    assert len(server.asked) == 1


@pytest.mark.parametrize("path", ["/book", "/no-ranges"])
def test_a_broken_download_is_taken_up_again(path: str, server: Server, stand_in: Corpus, tmp_path: Path) -> None:
    server.breaks_after = 70_000
    first = load(tmp_path, server.url + path)
    assert first.name == "dantesque"
    assert "broke off" in first.notices[0]
    assert not (tmp_path / "inferno.txt").exists()
    second = load(tmp_path, server.url + path)
    assert server.asked == [(path, None), (path, "bytes=70000-")]
    assert second.name == "inferno"
    assert second.text() == clean(BOOK)[0]
    assert (tmp_path / "inferno.txt").read_text("utf-8") == second.text()
    assert not list(tmp_path.glob("*.part"))


def test_a_download_that_broke_off_after_the_last_byte_is_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "inferno.0.part").write_bytes(RAW)
    assert load(tmp_path, server.url + "/book").name == "inferno"
    assert server.asked == [("/book", f"bytes={len(RAW)}-")]


def test_a_log_in_page_is_not_the_inferno_and_the_next_source_is_asked(server: Server, tmp_path: Path) -> None:
    found = load(tmp_path, server.url + "/portal", server.url + "/book")
    assert found.name == "inferno"
    assert found.notices == ()
    assert [path for path, _ in server.asked] == ["/portal", "/book"]
    assert not list(tmp_path.glob("*.part"))


def test_without_any_source_the_stand_in_says_so(server: Server, stand_in: Corpus, tmp_path: Path) -> None:
    dead = Server()
    dead.http.server_close()
    paths = ("/portal", "/missing", "/garbage", "/chunked")
    found = load(tmp_path, *(server.url + path for path in paths), dead.url + "/book")
    assert found.text() == stand_in.text()
    (notice,) = found.notices
    assert "'dantesque'" in notice
    assert "give the path of a text file" in notice
    assert "what it sent is not the Inferno" in notice
    assert "Not Found" in notice
    assert "refused" in notice
    assert notice.count("127.0.0.1") == 5
    assert not (tmp_path / "inferno.txt").exists()


def test_a_cache_that_cannot_be_written_ends_in_the_stand_in(server: Server, stand_in: Corpus, verse: Path) -> None:
    found = load(verse / "cache", server.url + "/book")
    assert found.name == "dantesque"
    assert "Not a directory" in found.notices[0]


def test_progress_counts_bytes_up_to_the_size(server: Server, tmp_path: Path) -> None:
    reports = list(dante.fetch(tmp_path / "inferno.txt", [server.url + "/book"]))
    assert [done for _, done, _ in reports] == sorted(done for _, done, _ in reports)
    assert reports[-1][1:] == (len(RAW), len(RAW))
    assert "127.0.0.1" in reports[0][0]


def test_a_path_and_nothing_are_told_apart(verse: Path, tmp_path: Path) -> None:
    assert load(tmp_path, source=str(verse)).name == "verse"
    with pytest.raises(CorpusError, match="no corpus named"):
        load(tmp_path, source=" ")


@pytest.mark.skipif(
    not resources.files("data").joinpath("bundled", "dantesque.txt").is_file(), reason="no bundled verse in this tree"
)
def test_the_bundled_verse_is_long_enough_to_train_on(tmp_path: Path) -> None:
    found = load(tmp_path, source="dantesque")
    assert found.name == "dantesque"
    first = found.text()[0]
    assert TrainSpec(corpus="dantesque").for_corpus(found.facts.characters, found.vocabulary, first).steps
    assert "sampled" in found.source


def test_other_books_are_not_the_inferno() -> None:
    cut = BOOK.replace("Canto 34\n", "\n")
    for raw in (cut.encode(), BOOK.replace("mezzo", "metà").encode(), random.Random(1).randbytes(200_000), b""):
        with pytest.raises(ValueError, match=r"not the Inferno|binary"):
            dante.checked(raw)
    assert dante.checked(RAW).startswith("Canto I\n")
