"""A training on the Inferno, from servers that fail as networks do."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hub_server import StandIn, dropping
from workbench import make_verse

from checkpoints import home
from data import dante
from engine.gpt import setup
from engine.gpt.spec import TrainSpec
from engine.gpt.train import train
from engine.runs.background import with_progress
from engine.runs.events import Event, Finished, Progress, Started
from engine.runs.messages import Control, SaveNow, Stop, finish

BOOK = "*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nCanto I\nNel mezzo del cammin di nostra vita\n\n"
BOOK += "".join(f"Canto {number}\n\n{make_verse(200, number)}\n" for number in range(2, 35))
RAW = f"{BOOK}\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n".encode()
SPEC = TrainSpec(corpus="dante", steps=1)


@pytest.fixture
def hosts(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Two places of the book."""
    stand_in.publish("datasets/gutenberg/997", {"pg997.txt": RAW})
    stand_in.publish("datasets/archive/997", {"1ddcd09.txt": RAW})
    at(stand_in.url, monkeypatch)
    return stand_in


def at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ("gutenberg/997/resolve/main/pg997.txt", "archive/997/resolve/main/1ddcd09.txt")
    urls = tuple(f"{url}/datasets/{file}" for file in files)
    monkeypatch.setitem(dante.load.__kwdefaults__, "urls", urls)


def read(events: list[Event]) -> str:
    """Load the corpus; its name, and what is told of it."""
    corpus = finish(setup.load_corpus(SPEC, None, Control(), resume=False), events.append)
    return "; ".join((corpus.name, *corpus.notices))


@pytest.mark.parametrize("fault", [{"silent": True}, {"halt": 50_000}])
def test_a_stop_is_obeyed_while_the_server_is_silent(fault: dict[str, int], hosts: StandIn, known_peak: float) -> None:
    hosts.fail("GET .*/gutenberg/", **fault)
    control, events = Control(), list[Event]()
    thread = threading.Thread(target=lambda: events.extend(train(SPEC, control)), daemon=True)
    thread.start()
    assert hosts.waiting.wait(5)
    control.send(Stop())
    thread.join(2)
    assert not thread.is_alive()
    assert events[-1] == Finished("stopped", 0, None, "")
    assert not any(isinstance(event, Started) for event in events)
    assert not (home.cache() / "inferno.txt").exists()
    hosts.clear()
    hosts.publish("datasets/gutenberg/997", {"pg997.txt": RAW})
    assert read([]) == "inferno"
    part = sum(hosts.sent.values())
    assert part == len(RAW) - (50_000 if "halt" in fault else 0)
    assert not list(home.cache().glob("*.part"))


def test_progress_tells_bytes_total_and_speed_and_other_messages_wait(hosts: StandIn) -> None:
    hosts.fail("GET .*/gutenberg/", drip=4_000)
    control, events = Control(), list[Event]()
    control.send(SaveNow())
    assert finish(setup.load_corpus(SPEC, None, control, resume=False), events.append).name == "inferno"
    progress = [event for event in events if isinstance(event, Progress) and "fetching" in event.what]
    assert [event.done for event in progress] == sorted({event.done for event in progress})
    assert {event.total for event in progress if event.done} == {len(RAW)}
    assert all(event.bytes_per_second for event in progress if event.done)
    assert control.take() == [SaveNow()]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 500}, "Internal Server Error"),
        ({"status": 503}, "Service Unavailable"),
        ({"portal": True}, "what it sent is not the Inferno"),
        ({"cut": 50_000}, "reset|broke off"),
    ],
)
def test_the_second_host_is_asked_when_the_first_fails_and_both_are_told(
    fault: dict[str, int], told: str, hosts: StandIn
) -> None:
    hosts.fail("GET .*/gutenberg/", **fault)
    assert read([]) == "inferno"
    (home.cache() / "inferno.txt").unlink()
    hosts.fail("GET .*/archive/", **fault)
    events: list[Event] = []
    found = read(events)
    assert found.startswith("dantesque; Dante's Inferno is neither cached nor reachable")
    assert len(re.findall(told, found)) == 2
    hosts.heal()
    hosts.sent.clear()
    assert read([]) == "inferno"
    assert sum(hosts.sent.values()) == len(RAW) - (100_000 if "cut" in fault else 0)


def test_hosts_that_drop_packets_end_in_the_bundled_verse(
    hosts: StandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dante, "TIMEOUT", 0.5)
    with dropping() as url:
        at(url, monkeypatch)
        assert read([]).count("timed out") == 2


def test_progress_is_told_once_while_a_task_waits_and_its_end_needs_no_message() -> None:
    looks = threading.Semaphore(0)

    def obey() -> Iterator[Event]:
        looks.release()
        return iter(())

    def task() -> Generator[tuple[str, int, int], None, None]:
        yield "reading", 1, 2
        for _ in range(3):
            looks.acquire()
        raise ValueError("it is broken")

    events: list[Event] = []
    with pytest.raises(ValueError, match="it is broken"):
        finish(with_progress(task(), obey), events.append)
    assert [(event.what, event.done, event.total) for event in events if isinstance(event, Progress)] == [
        ("reading", 1, 2)
    ]
