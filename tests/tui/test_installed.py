"""The program from the checkout and from a wheel, also among files that are named as its packages are."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from pseudoterminal import PROJECT, Terminal
from workbench import new_run, spec

import llmlab_tui
from engine.runs import owner as run_owner

OURS = ("tui", "engine", "data", "checkpoints")
FOLDERS = ("llmlab_tui", *OURS, "tests", "docs")


@dataclass(frozen=True)
class Installed:
    """Where the program is installed, and the wheel and sdist that it came from."""

    scripts: Path
    wheel: Path | None = None
    sdist: Path | None = None

    @property
    def python(self) -> str:
        """The interpreter."""
        return str(self.scripts / "python")

    def run(self, *arguments: str, check: bool = True, script: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the program to its end."""
        start = [str(self.scripts / "llmlab-tui")] if script else [self.python, "-m", "llmlab_tui"]
        return subprocess.run([*start, *arguments], capture_output=True, text=True, timeout=120, check=check)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A fresh environment with the wheel that is built from the sdist; what it needs comes from this environment."""
    made = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-P", "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [sys.executable, "-P", "-m", "hatchling", "build", "-t", "sdist", "-d", str(made)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True, timeout=60)
    (sdist,) = made.glob("*.tar.gz")
    options = ["--no-deps", "--no-index"]
    subprocess.run([*pip, "wheel", *options, "--no-build-isolation", "-w", made, sdist], check=True, timeout=60)
    (built,) = made.glob("*.whl")
    venv.create(made / "env", symlinks=True)
    python = made / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", python, "install", *options, built], check=True, timeout=60)
    (site,) = (made / "env").glob("lib/python3*/site-packages")
    (site / "closure.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return Installed(python.parent, built, sdist)


@pytest.fixture(params=["checkout", "wheel"])
def installed(request: pytest.FixtureRequest) -> Installed:
    """The program of the checkout, installed editable, and that of the wheel."""
    if request.param == "checkout":
        return Installed(Path(sys.executable).parent)
    found: Installed = request.getfixturevalue("wheel")
    return found


@pytest.fixture
def shadows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder and one on PYTHONPATH, both full of modules that end the process that imports them."""
    for folder, names in (("path", OURS), ("current", (*OURS, "numbers", "json", "llmlab"))):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.py").write_text("import os; os.write(2, b'shadowed'); os._exit(99)")
    package = tmp_path / "path" / "package"
    for name in OURS:
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").write_text("import os; os.write(2, b'shadowed'); os._exit(99)")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'path'}{os.pathsep}{package}")
    monkeypatch.chdir(tmp_path / "current")
    return tmp_path / "current"


@pytest.mark.usefixtures("shadows")
@pytest.mark.parametrize("script", [True, False], ids=["script", "module"])
def test_no_file_of_the_user_replaces_a_module_of_a_command(installed: Installed, script: bool) -> None:
    assert installed.run("--version", script=script).stdout == f"{llmlab_tui.__version__}\n"
    assert installed.run("tokenize", "abc", "--tokenizer", "bundled", "--json", script=script).stdout.startswith("{")


def test_no_file_of_the_user_replaces_a_module_of_the_screen(installed: Installed, shadows: Path) -> None:
    with Terminal(program=[installed.python, "-m", "llmlab_tui"], cwd=shadows) as terminal:
        terminal.shows("Start training")


@pytest.mark.usefixtures("shadows")
def test_no_file_of_the_user_replaces_a_module_of_the_process_that_owns_a_run(
    installed: Installed, verse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", installed.python)
    run = new_run(spec(verse, steps=3))
    with run_owner.spawn(run) as owner:
        assert owner.wait(60) == 0, (run.path / "trainer.log").read_text()
    assert '"reason":"steps"' in run.events.read_text().replace(" ", "")


@pytest.mark.usefixtures("shadows")
def test_no_file_of_the_user_replaces_a_module_of_a_process_that_a_library_starts(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys; from llmlab_tui.__main__ import main; sys.argv[1:] = ['--version']\n"
        "try: main()\n"
        "except SystemExit: subprocess.run([sys.executable, '-c', 'import json'], check=True)\n"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)


def test_a_checkout_that_is_not_installed_starts_its_own_processes(tmp_path: Path) -> None:
    """Although another checkout, this one, is installed in the environment."""
    package = tmp_path / "llmlab_tui"
    package.mkdir()
    (package / "__init__.py").write_text(Path(llmlab_tui.__file__).read_text())
    (package / "__main__.py").write_text(
        "import os, subprocess, sys; print(sys.path[0], __file__, flush=True)\n"
        "if not sys.argv[1:]: subprocess.run([sys.executable, '-P', '-m', 'llmlab_tui', 'child'], cwd='/', check=True)"
    )
    command = [sys.executable, "-m", "llmlab_tui"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True, timeout=60)
    assert done.stdout.splitlines() == [f"{tmp_path} {package / '__main__.py'}"] * 2


def test_the_wheel_has_one_top_level_package_and_the_sdist_every_file(wheel: Installed) -> None:
    assert wheel.wheel is not None
    assert wheel.sdist is not None
    version = llmlab_tui.__version__
    names = zipfile.ZipFile(wheel.wheel).namelist()
    assert {name.split("/")[0] for name in names} == {"llmlab_tui", f"llmlab_tui-{version}.dist-info"}
    assert f"llmlab_tui-{version}.dist-info/licenses/LICENSE" in names
    with tarfile.open(wheel.sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    there = [file for folder in FOLDERS for file in (PROJECT / folder).rglob("*") if file.is_file()]
    wanted = {str(file.relative_to(PROJECT)) for file in there if "__pycache__" not in file.parts}
    assert wanted | {"pyproject.toml", "constraints.txt", "Makefile", "README.md", "LICENSE"} <= packed


@pytest.mark.usefixtures("shadows")
def test_the_wheel_trains_tokenizes_and_classifies(wheel: Installed) -> None:
    tiny = ("--layers", "1", "--width", "16", "--heads", "2", "--context", "16", "--sample-length", "9")
    done = wheel.run("train", "--corpus", "dantesque", "--preset", "nano", "--steps", "20", "--device", "cpu", *tiny)
    assert "finished at step 20" in done.stderr
    assert done.stdout.endswith("-dantesque-nano\n")
    assert "5 tokens" in wheel.run("tokenize", "ciao a tutti").stdout
    done = wheel.run("classify", "--limit", "12", "--length", "16", "--encoder", "minilm", "--head", "lr")
    assert "tfidf" in done.stderr + done.stdout
