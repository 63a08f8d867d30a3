"""Scripts for queues: the resources they request, and that their jobs train every shard once."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import nalm
from nalm.errors import NalmError
from nalm.execution.executors.scripts import SCHEDULERS, QueueSettings, array_script, settings_of_slurm
from nalm.execution.executors.slurm import SlurmSettings

Cli = Callable[..., CompletedProcess[str]]

EVERYTHING = QueueSettings(
    queue="short", time=90, cpus=2, memory="4G", parallel=5, options=("-P mine",), setup=("module load gcc",)
)
FIRST = {"slurm": 0, "lsf": 1, "pbs": 1}
VARIABLES = {"slurm": "SLURM_ARRAY_TASK_ID", "lsf": "LSB_JOBINDEX", "pbs": "PBS_ARRAY_INDEX"}


def script(scheduler: str, directory: Path, job: QueueSettings = EVERYTHING, jobs: int = 3) -> str:
    return array_script(scheduler, ["echo", "it's", "trained"], jobs, job, Path("some where/logs"), directory)


def asked(text: str) -> list[str]:
    return re.findall(r"^#(?:SBATCH|BSUB|PBS) (.*)", text, re.MULTILINE)


def run_job(text: str, **environment: str) -> None:
    own = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
    subprocess.run(["bash", "-c", text], env=own | environment, check=True)


@pytest.mark.parametrize(
    ("scheduler", "options"),
    [
        (
            "slurm",
            ["--array=0-2%5", "--time=90", "--cpus-per-task=2", "--partition=short", "--mem=4G"],
        ),
        ("lsf", ['-J "nalm[1-3]%5"', "-W 90", "-n 2", "-q short", "-M 4G", '-R "rusage[mem=4G]"']),
        ("pbs", ["-J 1-3%5", "-l walltime=01:30:00", "-l select=1:ncpus=2:mem=4gb", "-q short"]),
    ],
)
def test_a_script_requests_resources_in_the_syntax_of_the_scheduler(
    scheduler: str, options: list[str], tmp_path: Path
) -> None:
    text = script(scheduler, tmp_path)
    assert {*options, "-P mine"} <= set(asked(text))
    assert text.startswith("#!/bin/bash\n")
    assert "\nmodule load gcc\n" in text


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_script_requests_nothing_that_has_no_setting(scheduler: str, tmp_path: Path) -> None:
    words = " ".join(asked(script(scheduler, tmp_path, QueueSettings())))
    assert not re.search(r"mem|partition|-q|%|-M", words)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_job_of_an_array_has_its_own_part_and_log(scheduler: str, tmp_path: Path) -> None:
    text = script(scheduler, tmp_path, QueueSettings())
    for index in range(3):
        run_job(text, **{VARIABLES[scheduler]: str(FIRST[scheduler] + index)})
    for index in range(3):
        log = tmp_path / "some where" / "logs" / f"{index}.log"
        assert log.read_text() == f"it's trained --index {index} --of 3\n"


def test_a_single_job_of_pbs_is_not_an_array(tmp_path: Path) -> None:
    text = script("pbs", tmp_path, QueueSettings(), jobs=1)
    assert not any(option.startswith("-J") for option in asked(text))
    run_job(text)
    assert (tmp_path / "some where" / "logs" / "0.log").read_text() == "it's trained --index 0 --of 1\n"


def test_settings_of_the_executor_for_slurm_apply_to_its_scripts(tmp_path: Path) -> None:
    slurm = SlurmSettings(partition="main", memory="2G", options={"account": "me", "exclusive": None}, setup=("true",))
    text = script("slurm", tmp_path, settings_of_slurm(slurm))
    assert {"--partition=main", "--mem=2G", "--account=me", "--exclusive"} <= set(asked(text))
    assert "\ntrue\n" in text


def test_an_unknown_scheduler_and_zero_jobs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NalmError, match="found unknown scheduler 'sge', expected one of: slurm, lsf, pbs"):
        script("sge", tmp_path)
    with pytest.raises(NalmError, match="found 0 jobs, expected at least 1"):
        script("lsf", tmp_path, jobs=0)


# The command


def test_a_script_has_a_job_per_shard_and_passes_options_on(nalm_cli: Cli, tiny: Path, tmp_path: Path) -> None:
    several = ("--set", "NRU.learning_rate=0.5", "--set", "*.batch_size=16", "--variants", "NRU", "--variants", "NMRU")
    done = nalm_cli("script", tiny, "--scheduler", "lsf", "--seeds", "0-49", "--iterations", 7, "--cpus", 3, *several)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'nalm[1-4]"' in done.stdout
    assert f"\ncd {tmp_path} || exit\n" in done.stdout
    *_, command = done.stdout.splitlines()
    for argument in (
        f"-m nalm shard {tiny} --seeds=0-49 --variants=NRU --variants=NMRU --iterations=7 --set=NRU.learning_rate=0.5",
        "'--set=*.batch_size=16' --device=cpu --out=results --workers=3 --index $index --of 4",
    ):
        assert argument in command


def test_a_script_for_slurm_starts_from_the_configuration_file(
    nalm_cli: Cli, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "nalm").mkdir()
    (tmp_path / "nalm" / "config.yaml").write_text("slurm: {partition: main, time: 30}")
    assert {"--partition=main", "--time=5"} <= set(
        asked(nalm_cli("script", tiny, "--scheduler", "slurm", "--time", 5).stdout)
    )
    assert "main" not in "".join(asked(nalm_cli("script", tiny, "--scheduler", "pbs").stdout))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--memory", "4"), "memory: found '4', expected a number and K, M, G or T, such as 4G"),
        (("--seeds", "5-2"), "found seeds '5-2', expected first <= last"),
    ],
)
def test_wrong_options_of_a_script(
    refused: Callable[..., str], tiny: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert refused("script", tiny, "--scheduler", "slurm", *arguments).startswith(sentence)


@pytest.mark.slow
@pytest.mark.processes
def test_the_jobs_of_a_script_train_every_shard(nalm_cli: Cli, tiny: Path, tmp_path: Path, results: Path) -> None:
    options = ("--no-compile", "--of", 2, "--out", "by jobs")
    text = nalm_cli("script", tiny, "--scheduler", "lsf", *options).stdout
    for index in (1, 2):
        run_job(text, LSB_JOBINDEX=str(index))
    trained = nalm.load(tmp_path / "by jobs")
    assert trained.missing == 0
    assert trained.runs().equals(nalm.load(results).runs())
    logs = [(tmp_path / "by jobs" / "logs" / f"{index}.log").read_text() for index in (0, 1)]
    assert all("all 6 runs are in by jobs" in log for log in logs)
