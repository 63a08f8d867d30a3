"""Tables of weights beside gold weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.trained import changed, without_parameters

import nalm
from nalm.analysis.results import Results
from nalm.errors import NalmError

Write = Callable[..., Path]

COLUMNS = ["variant", "task", "seed", "solved", "iteration", "parameter", "index", "place", "gold", "value"]


def trained(path: Path, out: Path) -> Results:
    nalm.run(str(path), out, workers=0, compiled=False)
    return nalm.load(out)


def test_every_evaluation_of_every_run_has_a_row_per_weight(results: Path) -> None:
    found = nalm.load(results)
    table = nalm.weight_histories(found)
    assert set(table) == set(COLUMNS)
    assert len(table) == 6 * 3 * 4 + 6 * 3 * 2
    history = found.run("NMRU", "U[1,2)", 1).history()
    run = table.query("variant == 'NMRU' and task == 'U[1,2)' and seed == 1")
    for index in range(4):
        rows = run[run["index"] == index]
        assert rows["iteration"].tolist() == history["iteration"].tolist()
        assert rows["value"].tolist() == history[f"weight.{index}"].tolist()
    assert run["gold"].tolist() == [1, 0, 0, 1] * 3
    assert (run["place"] == run["index"]).all()


def test_the_last_weights_are_those_of_the_trained_module(results: Path) -> None:
    found = nalm.load(results)
    table = nalm.final_weights(found, ["NRU"], ["negative"])
    assert set(table["iteration"]) == {21}
    for seed, rows in table.groupby("seed"):
        module = found.module("NRU", "negative", int(str(seed)))
        assert rows["value"].tolist() == module.get_parameter("weight").flatten().tolist()
        assert rows["gold"].tolist() == [1, -1]


def test_where_each_seed_has_its_own_operands_gold_weights_are_in_one_place(write_yaml: Write, tmp_path: Path) -> None:
    path = write_yaml(task="task: {operation: div, input_size: 10, subset_ratio: 0.1}", seeds="seeds: 0-3")
    table = nalm.final_weights(trained(path, tmp_path / "results"))
    gold = table.pivot(index="seed", columns="place", values="gold").to_numpy()
    assert gold.tolist() == [[1, 1, *[0] * 18]] * 4
    own = table[table["gold"] == 1].pivot(index="seed", columns="place", values="index")
    assert (own[1] - own[0] == 11).all()  # the reciprocal of the input after the first operand
    assert own[0].nunique() > 1


def test_effective_weights_and_the_parameters_outside_them_are_shown(write_yaml: Write, tmp_path: Path) -> None:
    variants = "variants: [{label: iNALU, recipe: {module: INALU}}, {label: Real NPU, recipe: {module: RealNPU}}]"
    found = trained(write_yaml(variants=variants), tmp_path / "results")
    table = nalm.final_weights(found)
    gold = table[table["seed"] == 0].groupby(["variant", "parameter"], sort=False)["gold"].agg(list).to_dict()
    saturated = gold.pop(("iNALU", "gate"))
    assert np.isnan(saturated).all()
    assert gold == {
        ("iNALU", "weight"): [0, 0],
        ("iNALU", "power"): [1, -1],
        ("Real NPU", "weight"): [1, -1],
        ("Real NPU", "gate"): [1, 1],
    }
    assert table.query("parameter in ('weight', 'power') and variant == 'iNALU'")["value"].abs().max() <= 1


def test_a_module_without_gold_weights_shows_its_parameters(write_yaml: Write, tmp_path: Path) -> None:
    variants = "variants: [{label: mine, recipe: {module: 'torch.nn:Linear'}}, {label: NAU, recipe: {module: NAU}}]"
    table = nalm.weight_histories(trained(write_yaml(variants=variants), tmp_path / "results"))
    assert table["gold"].isna().all()  # Linear has no gold weights, and a NAU cannot divide
    mine = table[table["variant"] == "mine"]
    assert mine[["parameter", "index"]].drop_duplicates().to_numpy().tolist() == [
        ["weight", 0],
        ["weight", 1],
        ["bias", 0],
    ]


def test_runs_without_weights_are_refused_and_left_out_beside_others(results: Path) -> None:
    found = nalm.load(results)
    bare = [without_parameters(run) for run in found.trained]
    found.trained[:] = [*bare[:-1], found.trained[-1]]
    assert set(nalm.final_weights(found)["variant"]) == {"NRU"}
    found.trained[:] = bare
    with pytest.raises(NalmError, match=r"^found no weights in the runs of tiny, expected runs that kept them$"):
        nalm.weight_histories(found)


def test_a_diverged_run_ends_with_nan_weights(results: Path) -> None:
    found = nalm.load(results)
    first = found.trained[0]
    weights = {"weight": np.array([*first.flat_parameters["weight"][:4], *[np.nan] * 12])}
    found.trained[:] = [changed(first, 1, diverged_at=5, flat_parameters=weights)]
    assert nalm.weight_histories(found)["iteration"].tolist() == [0] * 4
    assert nalm.final_weights(found)["value"].isna().all()
    found.trained[:] = [changed(first, 0, diverged_at=0)]
    with pytest.raises(NalmError, match=r"^found no weights in the runs of tiny, expected runs that kept them$"):
        nalm.weight_histories(found)
