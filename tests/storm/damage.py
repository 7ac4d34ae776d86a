"""Files damaged between two starts of a run: cut, zeroed, overwritten, removed, replaced by what is no file."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from storm import workloads

ALWAYS_SPARED = frozenset({"trainer.log"})
DEEP = b"[" * 200_000
STRANGE = (b"{}", b"[]", b"null", b"7", DEEP)
"""JSON that is not what the program wrote"""
READABLE = ("one bit flipped", "key removed", "value of another type")
"""what would make another spec of ``spec.json``, which the user may edit"""
RESULTS = ("results.json", "comparisons.json")
LATER = ("key added", "newer schema")


@dataclass
class Damage:
    """What was done to one file or folder, and how to take it back."""

    path: Path
    what: str
    refusable: bool
    """whether the program may refuse to go on, clearly, until this is taken back"""
    before: Path | None
    """a copy of what was there"""

    def undo(self) -> None:
        """Put back what was there."""
        _remove(self.path)
        if self.before is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if self.before.is_dir() else shutil.copyfile)(self.before, self.path)

    def __str__(self) -> str:
        return f"{self.path.name} {self.what}" + " (may be refused)" * self.refusable


def inflict(home: Path, run: Path, task: str, rng: random.Random, attic: Path) -> Damage | None:
    """Damage something of a run or of the caches; None when there is nothing to damage.

    Of a training's checkpoints one that is whole stays whole, chosen at random. ``attic`` is an empty folder for the
    copy of what was there.
    """
    whole = workloads.whole(run / "checkpoints") if task == "train" else []
    spared = workloads.checkpoint(run, rng.choice(whole)) if whole else None
    if rng.random() < 0.12:
        return _planted(run, rng)
    files = [file for file in sorted(home.rglob("*")) if file.is_file() and file.name not in ALWAYS_SPARED]
    files = [file for file in files if spared is None or spared not in file.parents]
    if not files:
        return None
    groups: dict[str, list[Path]] = {}  # so that many files of one kind do not hide a single one of another
    for file in files:
        groups.setdefault(_group(file, home), []).append(file)
    path = rng.choice(groups[rng.choice(sorted(groups))])
    folder = path.parent
    inner = (
        folder not in (home, run, run.parent)
        and folder.name != "cache"
        and (spared is None or folder not in spared.parents)
    )
    if inner and rng.random() < 0.15 and all(entry.is_file() or entry.is_dir() for entry in folder.rglob("*")):
        path = folder
    kept = _copied(path, attic)
    what = _whole_folder(path, rng) if path.is_dir() else _file(path, rng)
    # An unknown entry of the results is one of a newer version, which is kept.
    kept_as_it_is = what in READABLE if path == run / "spec.json" else what in LATER and path.name in RESULTS
    if what is not None and kept_as_it_is:
        shutil.copyfile(kept, path)
        what = None
    if what is None:
        return None
    return Damage(path, what, _refusable(path, what, run, task, bool(whole)), kept)


def _refusable(path: Path, what: str, run: Path, task: str, has_checkpoint: bool) -> bool:
    """Only what nothing else holds, and what stands where the program must put a file of its own."""
    if path == run / "spec.json" and not (task == "train" and has_checkpoint):
        return True
    in_the_way = what in ("replaced by a folder", "replaced by a FIFO", "replaced by a file")
    return in_the_way and run in path.parents


def _group(file: Path, home: Path) -> str:
    parts = file.relative_to(home).parts
    if parts[0] != "runs":
        return "/".join(parts[:2])
    return parts[2] if len(parts) == 3 else "/".join((parts[2], parts[-1]))


def _file(path: Path, rng: random.Random) -> str | None:
    content = path.read_bytes()
    what = rng.choice(["truncated", "zeroed", "garbage", "removed", "bit", "folder", "fifo", "json"])
    if what == "json" and path.suffix not in (".json", ".jsonl"):
        what = "zeroed"
    if what in ("removed", "folder", "fifo"):
        path.unlink()
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        return {"removed": "removed", "folder": "replaced by a folder", "fifo": "replaced by a FIFO"}[what]
    size = len(content)
    if what == "truncated":
        changed = content[: rng.choice([0, size // 2, max(0, size - 1), rng.randrange(size + 1)])]
    elif what == "zeroed":
        start = rng.choice([0, size // 2, rng.randrange(size + 1)])
        changed = content[:start] + bytes(size - start)
    elif what == "garbage":
        start = rng.choice([0, rng.randrange(size + 1)])
        changed = content[:start] + rng.randbytes(size - start)
    elif what == "bit" and size:
        place = rng.randrange(size)
        changed = content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
    elif what == "json":
        changed, what = _strange(content, rng)
    else:
        return None
    if changed == content:
        return None
    path.write_bytes(changed)
    return {"bit": "one bit flipped"}.get(what, what)


def _strange(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Other JSON than the program wrote: of another version, or of another kind."""
    try:
        record = json.loads(content)
    except ValueError:
        record = None
    if not isinstance(record, dict) or not record or rng.random() < 0.4:
        return rng.choice(STRANGE), "other JSON"
    name = rng.choice(sorted(record))
    how = rng.choice(["key removed", "key added", "newer schema", "value of another type"])
    if how == "key removed":
        del record[name]
    elif how == "key added":
        record["added_later"] = {"deep": [1, 2, 3]}
    elif how == "newer schema":
        record["schema"] = 99
    else:
        record[name] = rng.choice([None, [], {}, "?", -1, 1e308])
    return json.dumps(record).encode(), how


def _whole_folder(path: Path, rng: random.Random) -> str:
    shutil.rmtree(path)
    if rng.random() < 0.3:
        path.write_bytes(b"in the way")
        return "replaced by a file"
    return "folder removed"


def _planted(run: Path, rng: random.Random) -> Damage | None:
    """Something that the program did not make."""
    name = rng.choice(
        ["tmp-x", "checkpoints/tmp-x", "checkpoints/step-999999", "inbox/fifo.json", "inbox/folder", "inbox/deep.json"]
    )
    path = run / name
    if path.exists() or not path.parent.is_dir():
        return None
    alone = name.startswith("checkpoints/step") and not [*path.parent.glob("step-*")]  # nothing else to go on from
    if name == "inbox/fifo.json":
        os.mkfifo(path)
    elif name == "inbox/deep.json":
        path.write_bytes(DEEP)
    elif name == "checkpoints/tmp-x" and rng.random() < 0.5:
        path.write_bytes(b"no folder")
    else:
        path.mkdir()
    return Damage(path, "planted", alone, None)


def _copied(path: Path, attic: Path) -> Path:
    attic.mkdir(parents=True)
    kept = attic / path.name
    (shutil.copytree if path.is_dir() else shutil.copyfile)(path, kept)
    return kept


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
