"""The command that draws loss landscapes."""

import io
from pathlib import Path

import pandas as pd
import pytest
from tests.fixture_types import Cli, Refused

import nalm


def test_a_landscape_is_drawn_and_said_to_be(nalm_cli: Cli, tmp_path: Path) -> None:
    done = nalm_cli("landscape", "NMRU", "--target", "quotient", "--kind", "surface", "-o", "deep.png")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "drew deep.png\n")
    assert (tmp_path / "deep.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_name_it_is_a_pdf(nalm_cli: Cli, tmp_path: Path) -> None:
    assert nalm_cli("landscape", "NMU").stderr == "drew landscape.pdf\n"
    assert [path.name for path in tmp_path.iterdir()] == ["landscape.pdf"]


def test_the_grid_is_written_as_csv_and_nothing_is_drawn(nalm_cli: Cli, tmp_path: Path) -> None:
    done = nalm_cli("landscape", "NMU", "NRU-train", "--epsilon", 0.5, "--csv")
    assert (done.returncode, done.stderr, list(tmp_path.iterdir())) == (0, "", [])
    table = pd.read_csv(io.StringIO(done.stdout))
    expected = pd.concat([nalm.landscape(name, epsilon=0.5) for name in ("NMU", "NRU-train")], ignore_index=True)
    pd.testing.assert_frame_equal(table, expected, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("NRU",), "found unknown landscape 'NRU', expected one of: NACMul, NMU, NRU-eval, NRU-train, "),
        (("NMU", "--target", "quotient"), "found 'NMU', which computes no quotient, expected one of: NACMul, "),
        (("--target", "sum"), "found unknown target 'sum', expected one of: product, quotient"),
        (("NMU", "--kind", "map"), "found unknown kind 'map', expected one of: contour, surface"),
        (("NMU", "--epsilon", "0"), "epsilon is 0.0, expected a number from 1e-07 to 1"),
        (("NMU", "-o", "landscape.gif"), "figures are saved as .pdf, .png, .svg: found '.gif' in landscape.gif"),
        (("NMU", "--csv", "-o", "landscape.pdf"), "found --csv and --output, expected one of them"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_input_is_one_sentence(refused: Refused, arguments: tuple[str, ...], sentence: str) -> None:
    assert refused("landscape", *arguments).startswith(sentence)
