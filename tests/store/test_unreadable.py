"""Files and folders of results that cannot be read: one sentence names them, and nothing counts as missing."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fixture_types import Cli

import nalm
from nalm.errors import NalmError
from nalm.store import inside
from nalm.store.store import Store

READERS = (
    ("summary",),
    ("runs", "--csv"),
    ("plot",),
    ("status", "--watch", 0),
    ("report",),
    ("show", "--variant", "NRU", "--task", "negative", "--seed", 2),
)


def forbidden(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Make a file or folder unreadable, as that of another user; the tests may run as root, whom no mode stops."""
    read, listdir = inside.regular_content, os.listdir

    def deny(found: Path) -> bool:
        return Path(found) == path

    def content(found: Path) -> bytes:
        if deny(found):
            raise PermissionError(errno.EACCES, "Permission denied", str(found))
        return read(found)

    def names(found: Path) -> list[str]:
        if deny(found):
            raise PermissionError(errno.EACCES, "Permission denied", str(found))
        return listdir(found)

    monkeypatch.setattr(inside, "regular_content", content)
    monkeypatch.setattr(os, "listdir", names)


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_every_reader_names_a_shard_that_it_may_not_read(
    results: Path, refused: Callable[..., str], command: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *options = command
    for shard in sorted((results / "shards").iterdir())[: 1 if name == "show" else None]:  # it reads one only
        with monkeypatch.context() as patch:
            forbidden(patch, shard)
            assert refused(name, results, *options) == f"cannot read {shard}: Permission denied"


def test_one_run_is_shown_from_its_own_file_alone(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nru, nmru = sorted((results / "shards").iterdir())
    for variant, other in (("NMRU", nru), ("NRU", nmru)):
        with monkeypatch.context() as patch:
            forbidden(patch, other)
            assert nalm.load(results).run(variant, "negative", 2).run.seed == 2


@pytest.mark.parametrize("folder", ["experiments", "shards"])
@pytest.mark.parametrize("command", [READERS[0], READERS[3], READERS[5]], ids=lambda command: command[0])
def test_every_reader_names_a_folder_that_it_may_not_read(
    results: Path,
    refused: Callable[..., str],
    command: tuple[object, ...],
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbidden(monkeypatch, results / folder)
    name, *options = command
    assert refused(name, results, *options) == f"cannot read {results / folder}: Permission denied"


@pytest.mark.parametrize("place", ["shards", "experiments", "running"])
def test_a_run_names_what_it_may_not_read_and_trains_nothing(
    results: Path, refused: Callable[..., str], tiny: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = results / place if place == "running" else next((results / place).iterdir())
    forbidden(monkeypatch, path)
    sentence = refused("run", tiny, "--out", results, "--seeds", "0-9", "--no-compile", "--workers", 0)
    assert sentence == f"cannot read {path}: Permission denied"


@pytest.mark.parametrize("place", ["shards", "experiments", "running", "failed"])
def test_hidden_files_of_other_systems_are_ignored(
    results: Path, nalm_cli: Cli, place: str, train_tiny: Cli, tiny: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (results / place).mkdir(exist_ok=True)
    for name in ("._tiny.json", "._shard.parquet", ".DS_Store", "._0123.txt", "._0123.lease", ".0123.checkpoint"):
        (results / place / name).write_bytes(b"\0\5\26\7Mac OS X")
    for name, *options in (READERS[0], READERS[3], READERS[5]):
        done = nalm_cli(name, results, *options)
        assert (done.returncode, "nalm:" in done.stderr) == (0, False), done.stderr
    assert train_tiny(tiny, "--out", results).returncode == 0
    assert nalm_cli("merge", results, "--into", results.parent / "all").returncode == 0
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["dangling", "circular", "folder", "pipe"])
@pytest.mark.parametrize("command", [READERS[0], READERS[3]], ids=lambda command: command[0])
def test_a_shard_that_is_no_file_is_left_out_with_one_warning(
    results: Path, nalm_cli: Cli, command: tuple[object, ...], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = results / "shards" / f"{'0' * 32}-{'0' * 32}.parquet"
    put(path, kind)
    name, *options = command
    done = nalm_cli(name, results, *options)
    assert done.returncode == 0, done.stderr
    (message,) = caplog.messages
    assert message.startswith(str(path))


def put(path: Path, kind: str) -> None:
    """Put something in the place of a file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    if kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "circular":
        path.symlink_to(path.name)
    elif kind == "folder":
        path.mkdir()
        (path / "inside").touch()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_text("file")


@pytest.mark.parametrize("kind", ["dangling", "circular", "folder", "pipe"])
def test_an_experiment_that_is_no_file_is_left_out_with_one_warning(
    results: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = results / "experiments" / "tiny.json"
    put(path, kind)
    with pytest.raises(NalmError, match="found no results"):
        Store.existing(results)
    (message,) = caplog.messages
    assert message.startswith(str(path))


@pytest.mark.parametrize("kind", ["circular", "file"])
def test_a_results_directory_that_is_none_is_refused(
    tmp_path: Path, results: Path, nalm_cli: Cli, tiny: Path, kind: str
) -> None:
    path = tmp_path / "odd"
    put(path, kind)
    training = ("run", tiny, "--out", path, "--no-compile", "--workers", 0)
    merging = (("merge", path, "--into", tmp_path / "new"), ("merge", results, "--into", path))
    for command in (("summary", path), *merging, training):
        done = nalm_cli(*command)
        assert (done.returncode, done.stdout) == (2, "")
        assert str(path) in done.stderr.splitlines()[-1]


def test_an_experiment_that_is_nonsense_is_named(results: Path, refused: Callable[..., str]) -> None:
    path = results / "experiments" / "tiny.json"
    good = path.read_text()
    for text in ("", "[]", "{", "[" * 100_000, "\0", good.replace("20", "1e999"), good.replace("20", "9" * 400)):
        path.write_text(text)
        assert str(path) in refused("summary", results)
    path.write_bytes(b"\xff\xfe")
    assert refused("summary", results).endswith("it is not text")


def test_a_file_that_would_fill_the_memory_is_refused(results: Path, refused: Callable[..., str]) -> None:
    path = results / "experiments" / "tiny.json"
    with path.open("r+b") as file:
        file.truncate(2**33)  # a hole, which takes no room on the disk
    assert (
        refused("summary", results) == f"cannot read {path}: it has 8,589,934,592 bytes, expected at most 4,294,967,296"
    )
