"""Probes of the compiler: what succeeded on this machine is not tried again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nalm.training import probes


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Asks for a probe with some outcome, and returns how often it was tried so far."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    count = 0

    def call(name: str = "a kernel", outcome: bool = True) -> int:
        def probe() -> bool:
            nonlocal count
            count += 1
            return outcome

        assert probes.passes(name, probe) == outcome
        return count

    return call


def kept(directory: Path) -> Path:
    return directory / "nalm" / "compiler.json"


def test_what_succeeded_is_not_tried_again(tried: Callable[..., int]) -> None:
    assert [tried(), tried(), tried("another kernel"), tried(), tried("another kernel")] == [1, 1, 2, 2, 2]


def test_what_failed_is_tried_again(tried: Callable[..., int]) -> None:
    assert [tried(outcome=False), tried(outcome=False), tried(), tried()] == [1, 2, 3, 3]


@pytest.mark.parametrize("content", ["", "{", "[]", "7", '{"passed": ["a kernel"]}', '{"machine": null, "passed": 3}'])
def test_a_file_that_cannot_be_read_counts_for_nothing(tried: Callable[..., int], tmp_path: Path, content: str) -> None:
    tried()
    kept(tmp_path).write_text(content)
    assert [tried(), tried()] == [2, 2]


def test_bytes_that_are_no_text_count_for_nothing(tried: Callable[..., int], tmp_path: Path) -> None:
    tried()
    kept(tmp_path).write_bytes(b"\xff\xfe\x00")
    assert tried() == 2


@pytest.mark.parametrize("part", ["torch", "python", "compiler", "headers", "processor", "kernels", "environment"])
def test_another_machine_is_probed_anew(tried: Callable[..., int], tmp_path: Path, part: str) -> None:
    tried()
    content = json.loads(kept(tmp_path).read_text())
    content["machine"][part] = "another"
    kept(tmp_path).write_text(json.dumps(content))
    assert [tried(), tried()] == [2, 2]


def test_another_compiler_is_probed_anew(
    tried: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "g++"
    compiler.write_text("#!/bin/sh\n")
    compiler.chmod(0o755)
    tried()
    monkeypatch.setenv("CXX", str(compiler))
    assert [tried(), tried()] == [2, 2]
    compiler.write_text("#!/bin/sh\nexit 1\n")
    assert tried() == 3


def test_without_a_compiler_nothing_is_kept(
    tried: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "/nowhere/g++")
    assert [tried(), tried()] == [1, 2]
    assert not kept(tmp_path).exists()


def test_a_cache_that_cannot_be_written_does_no_harm(
    tried: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [tried(), tried()] == [1, 2]


def test_everything_is_tried_again_after_a_failure(tried: Callable[..., int]) -> None:
    tried()
    probes.forget_probes()
    assert tried() == 2
