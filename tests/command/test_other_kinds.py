"""Commands that are given a run of another kind: a sentence with the command that fits, never a traceback."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from checkpoints import home
from tui.command import cli

FITS = {
    "verse": "llmlab-tui sample verse",
    "texts": "llmlab-tui predict texts TEXT",
    "questions": "llmlab-tui rank questions --input FILE",
    "documents": "llmlab-tui search QUERY --run documents",
}


pytestmark = pytest.mark.usefixtures("older_runs")


@pytest.mark.parametrize("named", ["name", "path", "latest"])
@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        (["sample", "RUN"], ("texts", "questions", "documents")),
        (["generate", "hi", "--model", "RUN"], ("texts", "questions", "documents")),
        (["tokenize", "hi", "--tokenizer", "RUN"], ("texts", "questions", "documents")),
        (["predict", "RUN", "hi"], ("verse", "questions", "documents")),
        (["suspects", "RUN"], ("verse", "questions", "documents")),
    ],
)
def test_the_command_that_fits_is_named(
    arguments: list[str], kinds: tuple[str, ...], named: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    every = {kind: home.runs() / kind for kind in FITS}
    for kind in kinds:
        if named == "latest":  # the only run there is
            for other in set(FITS) - {kind}:
                shutil.move(every[other], tmp_path / other)
        wanted = {"name": kind, "path": str(every[kind]), "latest": "latest"}[named]
        given = [{"RUN": wanted, "OUT": str(tmp_path / "out")}.get(one, one) for one in arguments]
        assert cli.main(given) == 2
        told = " ".join(capfd.readouterr().err.split())
        assert FITS[kind] in told
        assert "its task is" in told
        assert "Traceback" not in told
        assert "KeyError" not in told
        assert not (tmp_path / "out").exists()
        for other in tmp_path.glob("[!h]*"):
            shutil.move(other, every[other.name])


@pytest.mark.parametrize("kind", ["verse", "texts", "questions"])
def test_export_writes_runs_of_more_than_one_kind(kind: str, tmp_path: Path) -> None:
    assert cli.main(["export", kind, str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_export_of_a_retrieval_looks_for_its_encoder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "documents", str(tmp_path / "out")]) == 2  # the folder of another machine
    assert "no encoder '/srv/lab/data/bert'" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_option_of_trainings_is_refused_for_another_kind(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for option in (["--half"], ["--checkpoint", "3"]):
        assert cli.main(["export", "texts", str(tmp_path / "out"), *option]) == 2
        assert f"{option[0][2:]}: not for a run of classify" in capfd.readouterr().err
    assert cli.main(["export", "verse", str(tmp_path / "out"), "--method", "lr"]) == 2
