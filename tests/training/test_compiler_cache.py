"""The cache of compiled kernels: damaged, in the way of somebody else, or impossible."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.execution.processes import rows

from nalm.store.store import Store
from nalm.training import compiler_cache
from nalm.training.compiler_cache import SEALS, VARIABLE, in_a_fresh_cache, open_cache, verify_vector_units


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "garbage": lambda content: b"garbage!" * 64,
    "truncated": lambda content: content[: len(content) // 2],
}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's own cache with two files, which this process has not opened yet."""
    directory = tmp_path / "cache" / "nalm" / "kernels"
    (directory / "ab").mkdir(parents=True)
    (directory / "ab" / "one.so").write_bytes(b"machine code")
    (directory / "two.py").write_bytes(b"a program")
    monkeypatch.setenv(VARIABLE, str(directory))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(compiler_cache, "_opened_by", None)
    monkeypatch.setattr(compiler_cache, "_temporary", False)
    monkeypatch.setattr(compiler_cache, "Finalize", lambda *_, **__: None)
    return directory


@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_files_are_removed_and_the_notice_says_how_to_empty_the_cache(
    cache: Path, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    compiler_cache._seal(cache)
    path = cache / "ab" / "one.so"
    path.write_bytes(DAMAGE[how](path.read_bytes()))
    open_cache()
    assert not path.exists()
    assert (cache / "two.py").exists()
    (said,) = caplog.messages
    assert said.startswith(f"the cache of compiled kernels in {cache} is damaged")
    assert said.endswith(f"to empty the cache: rm -r {cache}")


def test_without_damage_nothing_is_removed_or_said(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    compiler_cache._seal(cache)
    (cache / "later.py").write_text("not sealed yet")
    open_cache()
    assert len(list(cache.rglob("*.py"))) == 2
    assert caplog.messages == []


def test_files_that_were_sealed_keep_their_seals_and_those_that_are_gone_lose_them(cache: Path) -> None:
    compiler_cache._seal(cache)
    (cache / "two.py").write_text("changed")
    (cache / "three.py").write_text("new")
    (cache / "ab" / "one.so").unlink()
    before = json.loads((cache / SEALS).read_text())
    compiler_cache._seal(cache)
    after = json.loads((cache / SEALS).read_text())
    assert after.keys() == {"two.py", "three.py"}
    assert after["two.py"] == before["two.py"]


@pytest.mark.parametrize("content", [b"\xffgarbage", b"[]", b""])
def test_a_cache_whose_seals_are_damaged_is_emptied(cache: Path, content: bytes) -> None:
    (cache / SEALS).write_bytes(content)
    open_cache()
    assert not any(path.is_file() for path in cache.rglob("*"))


@pytest.mark.parametrize("seals", ["{}", "damaged", json.dumps({"letter.txt": "of another content"})])
def test_in_a_directory_that_was_named_nothing_is_removed_or_written(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seals: str
) -> None:
    (tmp_path / "letter.txt").write_text("a person's own")
    (tmp_path / SEALS).write_text(seals)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    ended: list[object] = []
    monkeypatch.setattr(compiler_cache, "Finalize", lambda *call, **_: ended.append(call))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    open_cache()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert ended == []


def test_a_directory_that_cannot_be_made_is_replaced_by_a_temporary_one(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    impossible = cache / "two.py" / "below"
    monkeypatch.setenv(VARIABLE, str(impossible))
    open_cache()
    used = Path(os.environ[VARIABLE])
    assert used.is_dir()
    assert used != impossible
    assert caplog.messages == [
        f"cannot keep compiled kernels in {impossible} (Not a directory): they are compiled anew each time, in a "
        "temporary directory; TORCHINDUCTOR_CACHE_DIR names another place"
    ]
    shutil.rmtree(used)


@pytest.mark.parametrize("way", ["open to all", "a link"])
def test_a_default_directory_in_which_others_can_write_is_not_trusted(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "xdg"))
    own = cache / "xdg" / "nalm" / "kernels"
    own.parent.mkdir(parents=True)
    if way == "a link":
        own.symlink_to(cache / "ab")
    else:
        own.mkdir()
        own.chmod(0o777)
    open_cache()
    assert Path(os.environ[VARIABLE]) != own
    assert f"cannot keep compiled kernels in {own} (others can write to it)" in caplog.text
    shutil.rmtree(os.environ[VARIABLE])


def test_the_default_directory_is_the_users_own_and_nobody_elses(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "xdg"))
    open_cache()
    own = cache / "xdg" / "nalm" / "kernels"
    assert os.environ[VARIABLE] == str(own)
    assert own.stat().st_mode & 0o777 == 0o700


def test_what_fails_with_an_empty_cache_too_was_not_damaged(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError(f"no compiler, and nothing in {os.environ[VARIABLE]}")

    with pytest.raises(RuntimeError, match="nalm-kernels-"):
        in_a_fresh_cache(fail)
    assert os.environ[VARIABLE] == str(cache)
    assert caplog.messages == []


def test_the_compiler_does_not_do_without_vector_units_because_its_test_of_them_is_damaged(
    cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from torch._inductor.cpu_vec_isa import VecISA

    monkeypatch.setattr(VecISA, "check_build", lambda self, code: os.environ[VARIABLE] != str(cache))
    verify_vector_units.__wrapped__()
    assert VecISA().check_build("the test")
    assert os.environ[VARIABLE] != str(cache)
    assert caplog.messages[0].startswith(f"the cache of compiled kernels in {cache} is damaged")
    shutil.rmtree(os.environ[VARIABLE])
    monkeypatch.setattr(VecISA, "check_build", lambda self, code: False)
    verify_vector_units.__wrapped__()
    assert not VecISA().check_build("the test")


def _train(tiny: Path, out: Path, home: Path, named: Path | None = None) -> str:
    """Train with one worker, with a home directory for caches or with a named cache; return what was said."""
    command = [sys.executable, "-P", "-m", "nalm", "run", str(tiny), "--variants", "NRU", "--workers", "1"]
    environment = os.environ | {"XDG_CACHE_HOME": str(home), VARIABLE: "" if named is None else str(named)}
    done = subprocess.run([*command, "--out", str(out)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return str(done.stderr)


@pytest.mark.slow
def test_training_goes_on_with_the_same_numbers_whatever_happened_to_the_cache(tiny: Path, tmp_path: Path) -> None:
    home = tmp_path / "cache"
    cache = home / "nalm" / "kernels"
    assert "nalm: " not in _train(tiny, tmp_path / "first", home)
    expected = rows(tmp_path / "first")
    (made,) = {(about["compiled"], about["vector_bits"]) for _, about in Store(tmp_path / "first").runs()}
    assert made[0]
    shutil.copytree(cache, tmp_path / "kept")
    for how in [*DAMAGE, "unsealed garbage", "impossible"]:
        shutil.rmtree(cache)
        shutil.copytree(tmp_path / "kept", cache)
        for path in filter(Path.is_file, cache.rglob("*")):
            if path.stat().st_size and path.suffix != ".lock":
                path.write_bytes(DAMAGE.get(how.removeprefix("unsealed "), flipped)(path.read_bytes()))
        if how == "unsealed garbage":
            (cache / SEALS).unlink()
        place = cache / SEALS / "below" if how == "impossible" else cache
        said = _train(tiny, tmp_path / how, home, place)
        notice = f"cannot keep compiled kernels in {place}" if how == "impossible" else f"rm -r {cache}\n"
        assert said.count(notice) == 1
        assert rows(tmp_path / how) == expected
        assert all((about["compiled"], about["vector_bits"]) == made for _, about in Store(tmp_path / how).runs())
