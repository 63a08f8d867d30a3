"""Settings of executors, from the configuration file and the command line."""

import inspect
import re
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import nalm
from nalm.cli.executors import with_executor
from nalm.errors import NalmError
from nalm.execution.executors.settings import ExecutorSettings, load_settings, open_executor, settings_path
from nalm.execution.executors.slurm import SlurmSettings
from nalm.registry import import_paths

Configure = Callable[[str], Path]

FILE = """\
executor: slurm
slurm:
  partition: main
  time: 30
  options: {account: me, exclusive: }
  setup: [module load gcc]
"""


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(text: str) -> Path:
        path = tmp_path / "config" / "nalm" / "config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_without_a_configuration_file_shards_train_on_local_workers() -> None:
    settings = load_settings()
    assert settings == ExecutorSettings()
    with open_executor(settings) as executor:
        assert executor is None


def test_the_configuration_file_is_in_the_users_configuration_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings_path() == tmp_path / "nalm" / "config.yaml"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert settings_path() == tmp_path / "home" / ".config" / "nalm" / "config.yaml"


def test_typed_settings_override_the_file(configure: Configure) -> None:
    configure(FILE)
    settings = load_settings({"slurm": {"time": 5, "options": {"account": "you", "qos": "low"}}})
    assert settings.executor == "slurm"
    assert settings.slurm == SlurmSettings(
        partition="main",
        time=5,
        options={"account": "you", "exclusive": None, "qos": "low"},
        setup=("module load gcc",),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("executor: sge", ":1: executor: found unknown executor 'sge', expected one of: local, slurm, dask, or an "),
        ("slrum: {}", ":1: slrum: found unknown field 'slrum', expected one of: executor, slurm, dask (did you mean "),
        ("slurm:\n  tiem: 5", ":2: slurm.tiem: found unknown field 'tiem', expected one of: time, cpus, memory, "),
        ("slurm:\n  time: 1 hour", ":2: slurm.time: found '1 hour', expected an integer"),
        ("slurm:\n  cpus: 0", ":2: slurm.cpus: found 0, expected greater than or equal to 1"),
        ("slurm:\n  memory: lots", ":2: slurm.memory: found 'lots', expected a number and K, M, G or T, such as 4G"),
        ("slurm:\n  setup: module load gcc", ":2: slurm.setup: found 'module load gcc', expected a list"),
        ("dask: tcp://host:8786", ":1: dask: found 'tcp://host:8786', expected a mapping of fields"),
        ("[1, 2]", ":1: found [1, 2], expected a mapping of fields"),
    ],
)
def test_an_error_in_the_file_names_its_line(configure: Configure, text: str, sentence: str) -> None:
    path = configure(text)
    with pytest.raises(NalmError) as error:
        load_settings()
    assert str(error.value).startswith(f"{path}{sentence}")


@pytest.mark.parametrize("text", ["", "# executor: slurm\n# slurm:\n#   time: 30\n", "---\n"])
def test_a_file_that_is_empty_or_holds_only_comments_sets_nothing(configure: Configure, text: str) -> None:
    configure(text)
    assert load_settings() == ExecutorSettings()
    assert load_settings({"slurm": {"time": 5}}).slurm.time == 5


def test_an_executor_may_be_an_import_path_unless_imports_are_forbidden(configure: Configure) -> None:
    configure("executor: nalm.execution.executors.local:EXECUTOR")
    with open_executor(load_settings()) as executor:
        assert executor is None
    with import_paths(False), pytest.raises(NalmError, match="an import path, whose code would be run"):
        load_settings()
    configure("executor: nalm.execution.executors.local:LocalSettings")
    with pytest.raises(
        NalmError, match=r"found ModelMetaclass at .*, expected a nalm\.execution\.executors\.ExecutorKind"
    ):
        load_settings()


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[ExecutorSettings]:
    """Collect the settings with which commands would have opened executors."""
    found: list[ExecutorSettings] = []

    def take(settings: ExecutorSettings, workers: int | None) -> AbstractContextManager[None]:
        found.append(settings)
        return nullcontext()

    monkeypatch.setattr("nalm.execution.executors.settings.open_executor", take)
    monkeypatch.setattr(nalm, "run", lambda *_, **__: None, raising=False)
    return found


def test_options_of_the_command_line_become_settings(
    nalm_cli: Callable[..., CompletedProcess[str]], tiny: Path, opened: list[ExecutorSettings]
) -> None:
    numbers = ("--slurm-time", 90, "--slurm-cpus", 2, "--slurm-parallel", 50)
    words = ("--slurm-partition", "main", "--slurm-memory", "4G")
    several = ("--slurm-option", "account=a=b", "--slurm-option=--exclusive")
    lines = ("--slurm-setup", "module load x", "--slurm-setup", "export Y=1")
    assert nalm_cli("run", tiny, "--executor", "slurm", *numbers, *words, *several, *lines).returncode == 0
    (settings,) = opened
    assert settings == ExecutorSettings(
        executor="slurm",
        slurm=SlurmSettings(
            partition="main",
            time=90,
            cpus=2,
            memory="4G",
            parallel=50,
            options={"account": "a=b", "exclusive": None},
            setup=("module load x", "export Y=1"),
        ),
    )


def test_commands_use_the_executor_of_the_file(
    nalm_cli: Callable[..., CompletedProcess[str]], tiny: Path, opened: list[ExecutorSettings], configure: Configure
) -> None:
    configure(FILE)
    assert nalm_cli("run", tiny).returncode == 0
    assert nalm_cli("run", tiny, "--executor", "local").returncode == 0
    assert [settings.executor for settings in opened] == ["slurm", "local"]


def test_the_documentation_lists_every_option_of_slurm() -> None:
    page = (Path(__file__).parents[3] / "docs" / "clusters.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(--slurm-[a-z]+)` \| `([a-z]+)` \|", page, re.MULTILINE)
    parameters = inspect.signature(with_executor(lambda executor: None)).parameters
    options = [f"--{name.replace('_', '-')}" for name in parameters if name.startswith("slurm_")]
    assert listed == list(zip(options, SlurmSettings.model_fields, strict=True))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--slurm-partition", "main"), "found options of slurm for the executor local, expected --executor slurm"),
        (("--executor", "slurm", "--dask-scheduler", "tcp://a:1"), "found options of dask for the executor slurm, "),
        (("--executor", "slurm", "--slurm-memory", "4"), "slurm.memory: found '4', expected a number and K, M, G or "),
        (("--executor", "slurm", "--slurm-option", "=5"), "found '=5' for --slurm-option, expected KEY=VALUE or KEY"),
        (
            ("--executor", "slurm", "--workers", 2),
            "found 2 workers for the executor slurm, expected none: use ",
        ),
    ],
)
def test_wrong_options_of_an_executor(
    refused: Callable[..., str], tiny: Path, options: tuple[object, ...], sentence: str
) -> None:
    assert refused("run", tiny, *options).startswith(sentence)


def test_the_error_says_how_to_install_submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(NalmError, match=r"needs submitit: pip install 'nalm\[slurm\]'"):
        open_executor(nalm.ExecutorSettings(executor="slurm"))


def test_slurm_is_refused_on_a_machine_without_srun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NalmError, match="found no command srun, expected a machine that can submit jobs to Slurm"):
        open_executor(nalm.ExecutorSettings(executor="slurm"))
