"""What ``make check`` runs: the tests of changed rooms."""

import subprocess
from pathlib import Path

import pytest

from tests.changed import changed_files, paths_of

FILES = ["src/nalm/store/merge.py", "src/nalm/log.py", "tests/store/test_merge.py", "tests/test_log.py", "README.md"]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with a branch that has left main, and nothing changed."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    git(tmp_path, "checkout", "-q", "-b", "mine")
    return tmp_path


def git(directory: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=directory, check=True)


def commit(directory: Path) -> None:
    git(directory, "add", ".")
    git(directory, "commit", "-q", "-m", "a change")


def test_nothing_changed_means_nothing_to_test(repository: Path) -> None:
    assert paths_of(changed_files(repository), repository) == []


def test_committed_uncommitted_and_unknown_files_have_changed(repository: Path) -> None:
    (repository / "README.md").write_text("committed")
    commit(repository)
    (repository / "src/nalm/log.py").write_text("uncommitted = True")
    (repository / "tests/store/test_new.py").touch()
    assert sorted(map(str, changed_files(repository))) == ["README.md", "src/nalm/log.py", "tests/store/test_new.py"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("src/nalm/store/merge.py", ["src/nalm/store", "tests/store"]),
        ("tests/store/test_merge.py", ["src/nalm/store", "tests/store"]),
        ("src/nalm/log.py", ["src/nalm/log.py", "tests/test_log.py"]),
        ("tests/test_log.py", ["src/nalm/log.py", "tests/test_log.py"]),
        ("README.md", []),
    ],
)
def test_the_tests_of_a_change_are_those_of_its_room(changed: str, expected: list[str], repository: Path) -> None:
    assert paths_of([Path(changed)], repository) == expected
