"""Two battles a session: all attacks in one batch against the grader as it is, and against graders without defence."""

from __future__ import annotations

import fcntl
import functools
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.attacks.attack import Attack, all_attacks
from tests.attacks.battle import Battle, fight, nbgrader, torchdojo
from tests.attacks.course import Canaries, build, hand_in, hand_in_attacks, loosen, neighbours
from tests.attacks.grounds import Grounds
from torchdojo.kernels.sandbox_probe import probe

CANARIES = Canaries(**{name: f"CANARY-{name}-of-the-attacked" for name in Canaries.__dataclass_fields__})


@pytest.fixture(scope="session")
def canaries() -> Canaries:
    """The words by which it is seen what came out."""
    return CANARIES


@pytest.fixture(scope="session")
def level() -> str:
    """The best sandbox that this machine gives."""
    return probe(()).level


@pytest.fixture(scope="session")
def defended(tmp_path_factory: pytest.TempPathFactory, level: str) -> Battle:
    """All attacks, and their neighbours, in one batch of `torchdojo autograde` as a course uses it."""
    command = torchdojo(f"--sandbox={level}", "--workers=2")
    return _once(tmp_path_factory, "defended", lambda folder: battle(folder, command, all_attacks(), pages=True))


@pytest.fixture(scope="session")
def undefended(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Battle]:
    """The same attacks where nothing is in their way, by the grader that each names."""
    return {
        name: _once(tmp_path_factory, name, functools.partial(undefended_battle, name=name))
        for name in ("torchdojo", "nbgrader", "careless")
    }


def undefended_battle(folder: Path, name: str) -> Battle:
    command = {
        "torchdojo": torchdojo("--sandbox=none", "--workers=2", "--AutogradeApplication.isolated=False"),
        "nbgrader": nbgrader("--log-level=CRITICAL"),
        "careless": nbgrader(
            "--log-level=CRITICAL", "--Autograde.sanitize_preprocessors=nbgrader.preprocessors.ClearOutput"
        ),
    }[name]
    attacks = [attack for attack in all_attacks() if attack.undefended == name]
    return battle(folder, command, attacks, loose=True, alone=name != "torchdojo")


def battle(
    folder: Path,
    command: Sequence[str],
    attacks: Sequence[Attack],
    *,
    loose: bool = False,
    alone: bool = False,
    pages: bool = False,
) -> Battle:
    """Build a course in `folder`, have everybody hand in, grade.

    Args:
        folder: where.
        command: which grader.
        attacks: whose.
        loose: limits as good as none.
        alone: without neighbours.
        pages: make nbgrader's feedback too.
    """
    marks = {attack.name: f"mark{secrets.token_hex(6)}" for attack in attacks}
    course = build(folder / "course", CANARIES)
    if loose:
        loosen(course)
    for student, answers in ({} if alone else neighbours(CANARIES)).items():
        hand_in(course, student, answers)
    with Grounds(course, folder / "scratch", CANARIES.victim) as grounds:
        hand_in_attacks(course, attacks, {name: grounds.words(mark) for name, mark in marks.items()})
        fought = fight(course, command, marks, grounds, CANARIES, pages=pages)
    for name, mark in marks.items():
        fate = fought.fates[name]
        if mark in fate.put_out + fate.words + fate.page:
            fate.marks.append("what was put out")
    return fought


def _once(factory: pytest.TempPathFactory, name: str, fought: Callable[[Path], Battle]) -> Battle:
    """Once in a session, whichever of pytest-xdist's workers comes first; the others wait, and read of it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    told = shared / f"attacks-{name}.json"
    with open(shared / f"attacks-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            folder = factory.mktemp(name)
            told.write_text(fought(folder).to_json())
            shutil.rmtree(folder, ignore_errors=True)
    return Battle.from_json(told.read_text())
