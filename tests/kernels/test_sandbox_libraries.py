"""Shut in, the libraries of a course still do what they do free: torch, torchvision, scikit-learn, matplotlib, zmq."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kernels import sandbox_works as works
from tests.kernels.sandbox_client import ROOT, USERS, Server, start
from torchdojo.datasets import mnist_root

MODULES = ("torch", "torchvision", "sklearn", "sklearn.ensemble", "matplotlib.pyplot")


@pytest.fixture(scope="module", params=USERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server with the libraries imported before the fork, as a zygote has them."""
    one = start(request.param, MODULES)
    if one.missing:
        one.end()
        pytest.skip(f"that user's Python cannot import {one.missing}")
    yield one
    one.end()


@pytest.mark.parametrize("level", ["full", "partial"])
@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (works.trains_a_network, True),
        (works.loads_data_with_workers, [8, 2016.0, 800_000]),
        (works.saves_and_loads_tensors, 3.0),
        (works.exchanges_messages_by_zmq, "hello"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_works_as_free(server: Server, level: str, deed: Callable[..., Any], expected: Any) -> None:
    """The same value, with no exception on the way."""
    answer = server.do(deed, {"level": level})
    assert answer["ok"], answer["trace"]
    assert answer["value"] == expected


def test_several_jobs_of_scikit_learn_work(server: Server) -> None:
    """n_jobs=2, by threads and by processes, without a warning. In partial joblib's processes find no /proc to read."""
    answer = server.do(works.fits_with_several_jobs, {"level": "full", "environment": _packages(server)})
    assert answer["ok"], answer["trace"]
    assert answer["value"] == [True, True, []]


def test_torch_spawns(server: Server) -> None:
    """torch.multiprocessing.spawn, which insists on a call that the filter only pretends to make."""
    answer = server.do(
        works.spawns_with_torch,
        {"level": "full", "read_only": [str(ROOT / "tests")]} | {"environment": _packages(server)},
    )
    assert answer["ok"], answer["trace"]


def test_figures_are_drawn_without_a_search_for_fonts(server: Server) -> None:
    """Here and in another Python, without a word on stderr; the list of fonts comes along."""
    answer = server.do(works.draws_a_figure, {"level": "full", "environment": _packages(server)})
    assert answer["ok"], answer["trace"]
    drawn, stderr, _, kept = answer["value"]
    assert drawn
    assert stderr == ""
    assert [name for name in kept if name.startswith("fontlist")]


def test_mnist_is_read_from_the_data_folder(server: Server) -> None:
    """torchvision reads it where the course keeps it, read-only."""
    data = str(mnist_root(ROOT / "data"))
    spec = {"level": "full", "read_only": [data], "environment": [["TORCHDOJO_DATA", data]]}
    answer = server.do(works.reads_mnist, spec)
    assert answer["ok"], answer["trace"]
    assert answer["value"] == [10_000, [28, 28], 7]


def test_psutil_sees_the_job_and_no_more(server: Server) -> None:
    """What libraries ask about memory and processes has an answer."""
    answer = server.do(works.looks_at_itself_with_psutil, {"level": "full"})
    assert answer["ok"], answer["trace"]
    assert answer["value"] == [True, ["sleep"], True]


@pytest.mark.slow
def test_torch_compiles(server: Server) -> None:
    """torch.compile finds the compiler, and what it builds can be loaded from the private /tmp."""
    answer = server.do(works.compiles_a_function, {"level": "full", "environment": _packages(server)}, within_s=400)
    assert answer["ok"], answer["trace"]
    assert answer["value"] == 0.0


def _packages(server: Server) -> list[list[str]]:
    """For another Python started inside: where ours are, if it is not ours."""
    return [["PYTHONPATH", server.path]]
