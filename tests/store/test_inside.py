"""Links, pipes and devices in a results directory: nothing outside it is read or written."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import nalm
from nalm.execution.running import clear_running
from nalm.reports.blocks import Table
from nalm.reports.computed import computed_section
from nalm.reports.source import Source
from nalm.store.inside import files_within
from nalm.store.store import FOLDERS, Store

PNG = b"\x89PNG private"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A directory outside the results, with files that results might have."""
    directory = tmp_path / "private"
    directory.mkdir()
    (directory / "picture.png").write_bytes(PNG)
    (directory / "settings.json").write_text("{}")
    return directory


def test_pictures_outside_the_directory_are_not_in_its_report(
    results: Path, private: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (results / "figure-5-x.png").symlink_to(private / "picture.png")
    (results / "figure-5.csv").symlink_to(private / "settings.json")
    os.mkfifo(results / "figure-5-pipe.png")
    (results / "figure-5-own.png").write_bytes(b"own picture")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    section = computed_section(Source(Store(results), pictures, ".png", "", ""), "figure-5")
    assert section is not None
    assert [path.read_bytes() for path in section.pictures] == [b"own picture"]
    assert f"{results / 'figure-5-x.png'} is a link that leads out of the results directory" in caplog.text
    assert not any(isinstance(block, Table) for block in section.blocks)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_that_leads_out_of_the_directory_is_refused_before_anything_is_written(
    refused: Callable[..., str], results: Path, tiny: Path, private: Path, folder: str
) -> None:
    if (results / folder).exists():
        (results / folder).rename(private / folder)
    (results / folder).symlink_to(private / folder if (private / folder).exists() else private)
    sentence = f"{results / folder} is a link that leads out of the results directory, or nowhere: expected a folder"
    assert refused("run", tiny, "--out", results, "--no-compile", "--workers", 0).startswith(sentence)
    if folder in ("experiments", "shards"):
        assert refused("summary", results).startswith(sentence)


def test_a_link_never_makes_a_run_delete_files_elsewhere(results: Path, private: Path) -> None:
    (results / "running").rmdir()
    (results / "running").symlink_to(private)
    with pytest.raises(nalm.NalmError, match="leads out of the results directory"):
        clear_running(results)
    assert (private / "settings.json").exists()


def test_shards_and_experiments_that_are_links_out_of_the_directory_are_left_out(
    results: Path, private: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shard, *others = sorted((results / "shards").iterdir())
    shard.rename(private / shard.name)
    shard.symlink_to(private / shard.name)
    assert nalm.load(results).missing == 12 // (1 + len(others))
    assert caplog.messages == [f"{shard} is a link that leads out of the results directory, or nowhere: it is left out"]
    (results / "experiments" / "other.json").symlink_to(private / "settings.json")
    assert Store(results).experiments.names() == ["tiny"]
    with pytest.raises(nalm.NalmError, match="or nowhere: expected a file"):
        Store(results).experiments.read("other")


@pytest.mark.parametrize("target", ["nowhere", "circle.parquet", "/dev/zero"])
def test_links_to_nothing_circles_and_devices_are_left_out(results: Path, target: str) -> None:
    (results / "shards" / "circle.parquet").symlink_to(target)
    assert nalm.load(results).missing == 0


def test_links_within_a_directory_and_links_to_a_whole_directory_are_followed(results: Path, tmp_path: Path) -> None:
    shard = min((results / "shards").iterdir())
    (results / "moved").mkdir()
    shard.rename(results / "moved" / shard.name)
    shard.symlink_to(Path("..") / "moved" / shard.name)
    (tmp_path / "elsewhere").symlink_to(results)
    assert nalm.load(tmp_path / "elsewhere").missing == 0
    assert len(files_within(tmp_path / "elsewhere", "shards", "*.parquet")) == len(list((results / "shards").iterdir()))


def test_a_table_or_traceback_replaces_a_link_instead_of_writing_through_it(
    results: Path, private: Path, tiny_experiment: nalm.Experiment
) -> None:
    import pandas as pd

    from nalm.execution.plan import plan
    from nalm.figures.saving import write_table

    (shard, *_) = plan([tiny_experiment], ()).shards
    (results / "failed").mkdir()
    failed, table = results / "failed" / f"{shard.name}.txt", results / "figure-5.csv"
    for path in (failed, table):
        path.symlink_to(private / "settings.json")
    Store(results).failures.add(shard, ValueError("oh"))
    write_table(pd.DataFrame({"a": [1]}), table)
    assert (private / "settings.json").read_text() == "{}"
    assert not failed.is_symlink()
    assert table.read_text() == "a\n1\n"
