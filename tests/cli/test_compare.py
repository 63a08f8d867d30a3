"""``nalm compare``: data on stdout, what is left out on stderr, and wrong input refused."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from tests.fixture_types import Cli, Refused

import nalm


@pytest.fixture(scope="module")
def _run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("untrained") / "results"
    chosen = nalm.load_experiment("redundancy").narrowed([0], ["NRU", "NMRU"]).changed({"iterations": 0})
    nalm.run(chosen, directory, workers=0, compiled=False)
    return directory


@pytest.fixture
def untrained(_run_once: Path, tmp_path: Path) -> Path:
    """Redundancy as it stands after one update: a seed of two variants, of one of which something is published."""
    return Path(shutil.copytree(_run_once, tmp_path / "results"))


# With published numbers


def test_what_is_published_is_shown_and_the_rest_is_counted(nalm_cli: Cli, untrained: Path) -> None:
    done = nalm_cli("compare", untrained)
    assert done.returncode == 0
    title, headers, only = done.stdout.splitlines()
    assert title.strip() == "redundancy"
    assert headers.split() == [
        *("variant", "task", "solved", "success", "[95", "%]", "published", "source", "difference", "[95", "%]"),
        "verdict",
    ]
    assert only.split("  ")[0] == "NMRU"
    for word in ("all", "0/9", "206/225 = 91.6%", "arxiv.org/abs/2110.05177 [A]", "-91.6% [-", "differs"):
        assert word in only
    assert done.stderr.splitlines() == [
        "nalm: nothing is published of 19 rows (redundancy), which --all shows",
        "nalm: redundancy: iterations of NMRU are not as in the catalog",
    ]


def test_all_rows_are_shown_on_demand(nalm_cli: Cli, untrained: Path) -> None:
    done = nalm_cli("compare", untrained, "--all")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2 + 20
    assert done.stdout.count("nothing published") == 19
    assert "nan" not in done.stdout.lower()
    assert done.stderr == "nalm: redundancy: iterations of NRU, NMRU are not as in the catalog\n"


def test_a_comparison_is_json_and_csv_with_the_same_fields(nalm_cli: Cli, untrained: Path) -> None:
    as_json = json.loads(nalm_cli("compare", untrained, "--json").stdout)
    as_csv = list(csv.DictReader(nalm_cli("compare", untrained, "--csv").stdout.splitlines()))
    (only,) = as_json
    assert (only["variant"], only["task"], only["published_solved"], only["verdict"]) == ("NMRU", None, 206, "differs")
    assert as_csv == [{name: "" if value is None else str(value) for name, value in row.items()} for row in as_json]


def test_all_rows_are_json_with_null_where_nothing_is_published(nalm_cli: Cli, untrained: Path) -> None:
    rows = json.loads(nalm_cli("compare", untrained, "--all", "--json").stdout)
    assert len(rows) == 20
    assert (rows[0]["task"], rows[0]["published_runs"], rows[0]["difference"]) == ("U[-20,-10)", None, None)
    assert rows[0]["verdict"] == "nothing published"


def test_an_experiment_of_which_nothing_is_published_has_no_table(nalm_cli: Cli, results: Path) -> None:
    done = nalm_cli("compare", results)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nalm: nothing is published of 6 rows (tiny), which --all shows\n"
    assert json.loads(nalm_cli("compare", results, "--json").stdout) == []


def test_one_experiment_of_several_is_compared(nalm_cli: Cli, untrained: Path, tiny: Path) -> None:
    nalm.run(str(tiny), untrained, workers=0, compiled=False)
    titles = [line.strip() for line in nalm_cli("compare", untrained, "--all").stdout.splitlines()]
    assert [title for title in titles if title in ("redundancy", "tiny")] == ["redundancy", "tiny"]
    rows = json.loads(nalm_cli("compare", untrained, "--experiment", "tiny", "--all", "--json").stdout)
    assert {row["experiment"] for row in rows} == {"tiny"}


# With other results


def test_two_directories_are_compared_in_pairs(nalm_cli: Cli, results: Path, tmp_path: Path) -> None:
    other = shutil.copytree(results, tmp_path / "other")
    done = nalm_cli("compare", results, other)
    assert (done.returncode, done.stderr) == (0, "")
    title, headers, *rows = done.stdout.splitlines()
    assert title.strip() == "tiny"
    assert headers.split()[:8] == ["variant", "task", "pairs", "both", "first", "only", "second", "only"]
    assert [row.split()[-1] for row in rows] == ["same"] * 6
    assert rows[-1].split()[:6] == ["all", "6", "6", "0", "0", "0"]


def test_other_recipes_are_said_in_one_line(nalm_cli: Cli, results: Path, tiny: Path, tmp_path: Path) -> None:
    nalm.run(nalm.load_experiment(str(tiny)).changed({"iterations": 0}), "other", workers=0, compiled=False)
    done = nalm_cli("compare", results, "other", "--experiment", "tiny", "--json")
    assert done.stderr == "nalm: tiny: iterations of NMRU, NRU are not as in other\n"
    nru = json.loads(done.stdout)[-1]
    assert (nru["pairs"], nru["both"], nru["first_only"], nru["verdict"]) == (6, 0, 6, "differs")
    assert nru["p_value"] == 2 / 64


# Help and wrong input


def test_help_has_an_example_and_says_which_way_round_a_difference_is(nalm_cli: Cli) -> None:
    text = " ".join(nalm_cli("compare", "--help").stdout.split())
    assert "Example: nalm compare results --experiment redundancy" in text
    assert "ours minus published" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("results", "--json", "--csv"), "found --json and --csv, expected one of them"),
        (("results", "results", "--all"), "found --all and a second directory 'results', expected one of them"),
        (("nowhere",), "found no results in 'nowhere', expected a directory that `nalm run` has written to"),
        (("results", "nowhere"), "found no results in 'nowhere', expected a directory that `nalm run` has written to"),
        (
            ("results", "--experiment", "redundancy"),
            "found unknown experiment 'redundancy' in 'results', expected one of: tiny",
        ),
    ],
)
def test_a_comparison_that_is_refused(
    refused: Refused, results: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    assert refused("compare", *arguments) == sentence


def test_results_of_which_no_run_is_finished_are_refused(refused: Refused, results: Path) -> None:
    for shard in (results / "shards").iterdir():
        shard.unlink()
    assert refused("compare", "results") == "found no finished runs of tiny in 'results'"
