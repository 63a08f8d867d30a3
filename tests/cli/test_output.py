"""Output that cannot be written is one sentence and exit code 2; a reader that stops reading is no failure."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fixture_types import Cli

import nalm
from nalm.cli.app import _declarations
from nalm.cli.output import Data, Output, messages
from nalm.errors import NalmError

PRINTING = {
    "": ["--help"],
    "version": ["--version"],
    "list": ["list"],
    "modules": ["modules", "NMRU"],
    "run": ["run", "figure-3", "--seeds", "0", "--dry-run"],
    "train": ["train", "NMRU", "--iterations", "2", "--no-compile"],
    "reproduce": ["reproduce", "tiny.yaml", "--out", "results", "--no-compile", "--workers", "0"],
    "script": ["script", "figure-3", "--scheduler", "lsf"],
    "status": ["status", "results", "--watch", "0"],
    "export": ["export", "results", "--csv"],
    "summary": ["summary", "results"],
    "summary as CSV": ["summary", "results", "--csv"],
    "runs": ["runs", "results", "--json"],
    "show": ["show", "results", "--variant", "NRU", "--task", "negative", "--seed", "0"],
    "compare": ["compare", "results", "--all"],
    "thresholds": ["thresholds", "tiny.yaml"],
    "gold-error": ["gold-error"],
}
SILENT = {"shard", "merge", "import", "plot", "report", "landscape"}
"""Commands that write files and print nothing on standard output."""
LONG = {"bench"}
"""Commands that take too long to be called here."""


def test_every_command_is_known_here() -> None:
    assert {arguments[0] for arguments in PRINTING.values()} | SILENT | LONG >= set(_declarations())


@pytest.mark.parametrize("arguments", PRINTING.values(), ids=PRINTING)
def test_a_full_device_is_one_sentence(
    arguments: list[str], nalm_cli: Cli, results: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        done = nalm_cli(*arguments)
    refusals = [line for line in done.stderr.splitlines() if line.startswith("nalm: ") and " write " in line]
    assert refusals == ["nalm: cannot write to standard output: No space left on device"]
    assert (done.returncode, done.stdout, "Traceback" in done.stderr) == (2, "", False)


@pytest.mark.parametrize("arguments", [["list"], ["--version"], ["summary", "results", "--csv"]])
def test_nothing_is_said_when_the_interpreter_ends(arguments: list[str], results: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = _nalm(arguments, results.parent, full)
    assert done.stderr.decode() == "nalm: cannot write to standard output: No space left on device\n"
    assert done.returncode == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_reading_is_no_failure(
    results: Path, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = _nalm(["list"], results.parent, pipe)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_standard_output_is_one_sentence(results: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m nalm list >&-', sys.executable], cwd=results.parent, capture_output=True, check=False
    )
    assert done.stderr.decode() == "nalm: cannot write to standard output: it is closed\n"
    assert done.returncode == 2


def _nalm(arguments: list[str], directory: Path, stdout: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "nalm", *arguments]
    return subprocess.run(command, cwd=directory, stdout=stdout, stderr=subprocess.PIPE, check=False)  # type: ignore[call-overload,no-any-return]


def test_each_mistake_of_a_file_has_its_line(nalm_cli: Cli, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace("title:", "tilte:"))
    first, second = nalm_cli("run", tiny, "--no-compile").stderr.splitlines()
    assert first.startswith(f"nalm: {tiny}:")
    assert second.startswith(f"{tiny}:")


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("plot", ["plot", "results"]),
        ("merge", ["merge", "results", "--into", "all"]),
        ("import_results", ["import", "old.csv", "--out", "new"]),
        ("report", ["report", "results"]),
        ("load", ["summary", "results"]),
        ("train_single", ["train", "NMRU", "--no-compile"]),
        ("status", ["status", "results"]),
    ],
)
@pytest.mark.usefixtures("results")
def test_ctrl_c_ends_a_command_in_one_sentence(
    nalm_cli: Cli, monkeypatch: pytest.MonkeyPatch, function: str, arguments: list[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(nalm, function, interrupted)
    done = nalm_cli(*arguments)
    signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "nalm: interrupted\n")


def test_ctrl_c_ends_a_process_in_one_sentence(results: Path) -> None:
    command = [sys.executable, "-m", "nalm", "report", "results"]
    process = subprocess.Popen(
        command,
        cwd=results.parent,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "writing tiny\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert (process.returncode, said) == (130, "nalm: interrupted\n")
    assert not (results.parent / "report.html").exists()


class ClosedTerminal(io.StringIO):
    """A terminal that has been closed."""

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def flush(self) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def isatty(self) -> bool:
        return True


@pytest.fixture
def _closed_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", ClosedTerminal())


@pytest.mark.usefixtures("_closed_terminal")
def test_training_does_not_need_its_terminal(nalm_cli: Cli, tiny: Path, tmp_path: Path) -> None:
    assert nalm_cli("run", tiny, "--out", "new", "--no-compile", "--workers", 0).returncode == 0
    assert len(list((tmp_path / "new" / "shards").iterdir())) == 2


def test_a_failure_that_somebody_has_caught_ends_the_command_all_the_same() -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        data = Data(full)
        data.write("text")
        for _ in range(2):
            with pytest.raises(NalmError, match=r"^cannot write to standard output: No space left on device$"):
                data.flush()


def test_streams_are_what_they_were_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    with messages():
        assert isinstance(sys.stderr, Output)
        print("\x1b[31m", file=sys.stderr)
    assert sys.stderr is before
    assert capsys.readouterr().err == "\\x1b[31m\n"
