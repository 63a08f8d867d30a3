"""Requests: options are declared once, and a command line that is written from a request asks for the same."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from nalm.cli.options import with_request
from nalm.workflows.options import arguments_of
from nalm.workflows.request import RunRequest
from nalm.workflows.single_request import SingleRequest


def read(kind: type[Any], arguments: list[str]) -> Any:
    """Return the request that a command of this kind gets from a command line."""
    got: list[Any] = []
    app = typer.Typer()

    def command(request: Any) -> None:
        got.append(request)

    command.__annotations__["request"] = kind
    app.command()(with_request(command))
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (request,) = got
    return request


REQUESTS = [
    RunRequest(experiments=["figure-3"]),
    RunRequest(experiments=["mine.yaml", "figure 3"], seeds="", workers=0, iterations=0),
    RunRequest(
        experiments=["figure-3"],
        seeds="0-4,10",
        variants=["NMRU,NRU", "two words"],
        tasks=["U[1,2)"],
        iterations=7,
        evaluate_every=2,
        stop_when_solved=True,
        settings=["*.batch_size=16", "NRU.learning_rate=0.5"],
        mnist="digits of mine",
        device="cuda",
        compile=False,
        out=Path("some where"),
        replace=True,
        imports=False,
        tensorboard=Path("logs"),
        verbose=True,
        gradients=True,
        workers=3,
    ),
    SingleRequest(module="NMRU"),
    SingleRequest(module="NAU", second="NMU", train_range="-2,-1", subset_ratio=0.25, overlap_ratio=0.5, seed=3),
    SingleRequest(module="NAU", length=2, svhn="there", settings=["learning_rate=0.1"], compile=False),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_command_line_written_from_a_request_asks_for_the_same(request_: Any) -> None:
    assert read(type(request_), arguments_of(request_)) == request_


def test_a_request_has_its_defaults_where_nothing_is_typed() -> None:
    assert read(RunRequest, ["figure-3"]) == RunRequest(experiments=["figure-3"])
