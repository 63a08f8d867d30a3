"""Users without a home directory or a name, as in containers."""

import os
import pwd
import tempfile
from pathlib import Path

import pytest

import nalm
from nalm.errors import NalmError
from nalm.execution.executors.settings import ExecutorSettings
from nalm.execution.executors.slurm import SlurmExecutor, SlurmSettings
from nalm.paths import cache_directory, user_directory
from nalm.training import compiler_cache
from tests.fixture_types import Cli


@pytest.fixture(autouse=True)
def _homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(user: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {user}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for variable in ("HOME", "USER", "LOGNAME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)


def test_there_are_no_settings() -> None:
    assert nalm.load_settings() == ExecutorSettings()


def test_what_can_be_made_again_is_kept_in_a_temporary_directory_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(compiler_cache, "_opened_by", None)
    monkeypatch.setenv(compiler_cache.VARIABLE, "")
    assert cache_directory() == tmp_path / f"nalm-{os.getuid()}"
    compiler_cache.open_cache()
    assert Path(os.environ[compiler_cache.VARIABLE]) == cache_directory() / "kernels"


def test_what_needs_a_home_directory_says_so_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NalmError, match=r"^found no home directory, expected HOME or XDG_STATE_HOME in"):
        SlurmExecutor(SlurmSettings())
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert user_directory("XDG_STATE_HOME", ".local/state") == Path("/somewhere/nalm")


def test_runs_train_and_are_summarized(nalm_cli: Cli, tiny: Path) -> None:
    assert nalm_cli("run", tiny, "--no-compile", "--workers", 0).returncode == 0
    done = nalm_cli("summary", "results")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_configuration_in_the_home_directory_of_somebody_else_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(path: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setattr(Path, "exists", forbid)
    assert nalm.load_settings() == ExecutorSettings()
