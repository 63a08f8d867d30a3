"""Answers are remembered between processes, and forgotten when anything that they follow from changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nalm import remember
from nalm.paths import content_hash
from nalm.remember import Memory, fingerprint, remembered

Ask = Callable[..., object]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers" / "now.json"


@pytest.fixture
def ask(path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Asks a new process, so to say, which knows what the file holds, and writes the file when it ends."""

    def ask(about: str, answer: object, question: str = "how") -> object:
        memory = Memory(lambda: path)
        monkeypatch.setattr(remember, "MEMORY", memory)
        found = remembered(question, about, lambda: answer)
        memory.write()
        return found

    return ask


def test_an_answer_is_found_once(ask: Ask) -> None:
    assert ask("x", {"value": 0.1, "exact": [1, None]}) == {"value": 0.1, "exact": [1, None]}
    assert ask("x", "another") == {"value": 0.1, "exact": [1, None]}
    assert ask("y", "another") == "another"
    assert ask("x", "another", question="why") == "another"


@pytest.mark.parametrize("about", ["mypackage.layers:MyUnit", '{"module":"mypackage:MyUnit"}'])
def test_nothing_is_remembered_about_code_of_other_packages(ask: Ask, about: str, path: Path) -> None:
    assert ask(about, 1) == 1
    assert ask(about, 2) == 2
    assert not path.exists()


def test_what_json_cannot_hold_is_found_anew(ask: Ask) -> None:
    assert ask("x", (1, 2)) == (1, 2)
    assert ask("x", 3) == 3


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content.replace(b"1.5", b"2.5"),
        lambda content: b"\xff" + content,
        lambda content: content_hash(b"[1]").encode() + b"\n[1]",
        lambda content: content_hash(b"nothing").encode() + b"\nnothing",
    ],
)
def test_a_damaged_file_is_not_read(ask: Ask, path: Path, damage: Callable[[bytes], bytes]) -> None:
    assert ask("x", 1.5) == 1.5
    path.write_bytes(damage(path.read_bytes()))
    assert ask("x", "anew") == "anew"


def test_processes_that_end_one_after_the_other_keep_each_others_answers(path: Path) -> None:
    first, second = Memory(lambda: path), Memory(lambda: path)
    assert "a" not in first
    assert "b" not in second
    first["a"], second["b"] = 1, 2
    first.write()
    second.write()
    later = Memory(lambda: path)
    assert (later["a"], later["b"]) == (1, 2)


def test_a_folder_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(lambda: tmp_path / "file" / "now.json")
    memory["a"] = 1
    memory.write()
    assert memory["a"] == 1


def test_files_of_many_other_environments_are_not_kept(path: Path) -> None:
    path.parent.mkdir()
    for name in range(20):
        (path.parent / f"{name}.json").write_text(json.dumps(name))
    memory = Memory(lambda: path)
    memory["a"] = 1
    memory.write()
    assert path.exists()
    assert len(list(path.parent.iterdir())) == remember.KEPT + 1


@pytest.mark.parametrize("changed", ["version", "_processor"])
def test_another_library_or_processor_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch, changed: str) -> None:
    before = fingerprint()
    monkeypatch.setattr(remember, changed, lambda *_: "other")
    fingerprint.cache_clear()
    assert fingerprint() != before
    monkeypatch.undo()
    fingerprint.cache_clear()
    assert fingerprint() == before
