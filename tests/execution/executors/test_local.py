"""Local workers: what they inherit, and when they end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.execution.processes import TWO_SHARDS, Start, children, ended, parent_of, train_two_shards

WriteYaml = Callable[..., Path]

REPORT = """
import json, os, sys, torch
from nalm.execution.executors.local import local_workers

def report(name):
    environment = dict(os.environ)
    return {name: sys.modules[name].__file__ if name in sys.modules else None, "paths": sys.path, "cwd": os.getcwd(),
            "PYTHONPATH": environment.get("PYTHONPATH"), "PYTHONSAFEPATH": environment.get("PYTHONSAFEPATH"),
            "NEW": environment.get("NEW"), "order": environment.get("NALM_NURSERY"),
            "ppid": os.getppid(), "threads": torch.get_num_threads()}

def multiply(size):
    torch.set_num_threads(2)
    return float((torch.ones(size, size) @ torch.ones(size, size)).sum())

if __name__ == "__main__":
    paths = list(sys.path)
    %s
"""


def told(tmp_path: Path, lines: str, **environment: str) -> dict[str, object]:
    """Run a script that asks workers, and return what it prints as JSON."""
    script = tmp_path / "script.py"
    script.write_text(REPORT % "\n    ".join(lines.splitlines()))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.processes
def test_workers_find_modules_where_the_parent_finds_them(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "pandas.py").write_text("raise SystemExit('imported from the working directory')")
    found = told(
        tmp_path,
        'os.chdir("elsewhere")\n'
        "with local_workers(1, compiled=False) as executor:\n"
        '    told = executor.submit(report, "nalm").result()\n'
        'print(json.dumps(told | {"same": told["paths"] == paths, "here": sys.modules["nalm"].__file__}))',
    )
    assert found["same"]
    assert found["nalm"] == found["here"]
    assert found["cwd"] == str(tmp_path / "elsewhere")
    assert found["PYTHONPATH"] == os.environ.get("PYTHONPATH")
    assert found["PYTHONSAFEPATH"] == "1"
    assert found["order"] is None


@pytest.mark.processes
def test_workers_have_the_environment_of_their_moment_and_one_thread(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "with local_workers(1, compiled=False) as executor:\n"
        '    first = executor.submit(report, "nalm").result()\n'
        'os.environ["NEW"] = "value"\n'
        "with local_workers(1, compiled=False) as executor:\n"
        '    second = executor.submit(report, "nalm").result()\n'
        'print(json.dumps({"first": first, "second": second, "pid": os.getpid()}))',
    )
    first, second = found["first"], found["second"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["NEW"], second["NEW"]) == (None, "value")
    assert (first["threads"], second["threads"]) == (1, 1)
    assert first["ppid"] != found["pid"]  # forked
    assert second["ppid"] == found["pid"]  # spawned: imports may have read the environment


@pytest.mark.processes
@pytest.mark.compiled
@pytest.mark.slow
def test_a_forked_worker_can_use_several_threads_and_compile(tmp_path: Path) -> None:
    found = told(
        tmp_path,
        "from nalm.training.compiling import compiler_problem\n"
        "with local_workers(2) as executor:\n"
        "    sums = [executor.submit(multiply, 600) for _ in range(4)]\n"
        '    problem = executor.submit(compiler_problem, "cpu").result()\n'
        '    print(json.dumps({"sums": [one.result() for one in sums], "problem": problem}))',
    )
    assert found == {"sums": [600.0**3] * 4, "problem": None}


@pytest.mark.processes
@pytest.mark.slow
def test_workers_end_with_a_checkpoint_when_the_process_dies_that_they_were_forked_from(
    write_yaml: WriteYaml, start: Start, tmp_path: Path
) -> None:
    path = write_yaml(**TWO_SHARDS)
    out = tmp_path / "results"
    process = train_two_shards(start, path, out)
    (server,) = {parent_of(child) for child in children(process.pid)}
    os.kill(server, signal.SIGKILL)
    said = ended(process)
    assert process.returncode == 0, said
    assert "failed" not in said
    assert len(list((out / "shards").iterdir())) == 2
    assert list((out / "running").iterdir()) == []
