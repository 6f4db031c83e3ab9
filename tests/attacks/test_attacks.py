"""Each attack of this folder gains nothing, reads nothing and leaves nothing; without the defence it would."""

from __future__ import annotations

import pytest

from tests.attacks.attack import FAMILIES, Attack, all_attacks
from tests.attacks.battle import Battle, Fate
from tests.attacks.course import POINTS, Canaries
from tests.attacks.table import DOCUMENT, with_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

ATTACKS = all_attacks()


def _parameter(attack: Attack) -> object:
    marks = [pytest.mark.xfail(reason=attack.open, strict=True)] if attack.open else []
    return pytest.param(attack, id=f"{attack.family}-{attack.name}", marks=marks)


@pytest.mark.parametrize("attack", [_parameter(attack) for attack in ATTACKS])
def test_it_is_stopped(attack: Attack, defended: Battle, canaries: Canaries, level: str) -> None:
    """No point more than its honest part is worth, no word of what is hidden, nothing left behind."""
    fate = defended.fates[attack.name]
    if level != "full" and attack.family in ("escaping", "breaking", "staying"):
        pytest.skip(f"this machine gives a sandbox of level {level}")
    _has_gained_nothing(attack, fate)
    _has_told_nothing(fate, defended.fates["untouched"], canaries)
    assert fate.marks == []
    for name, points in attack.fair.items():
        assert fate.points[name] == points, fate.put_out[-3000:]


def _has_gained_nothing(attack: Attack, fate: Fate) -> None:
    for name in POINTS:
        assert (fate.points.get(name) or 0.0) <= attack.fair.get(name, 0.0), (name, fate.put_out[-3000:])
    assert set(fate.points) == set(POINTS)


def _has_told_nothing(fate: Fate, untouched: Fate, canaries: Canaries) -> None:
    for name, word in canaries.all().items():
        assert word not in fate.put_out + fate.words, name
        assert fate.page.count(word) <= untouched.page.count(word), name  # nbgrader's page shows the tests themselves
        assert word.encode().hex() not in fate.put_out, name


@pytest.mark.parametrize("attack", [pytest.param(a, id=f"{a.family}-{a.name}") for a in ATTACKS])
def test_it_would_succeed(attack: Attack, undefended: dict[str, Battle], canaries: Canaries) -> None:
    """Against a grader without defence it gains, reads, leaves or spoils what it says: it is a real attack."""
    fate = undefended[attack.undefended].fates[attack.name]
    if attack.needs:
        _skip_unless_there(attack.needs)
    if attack.shows == "points":
        assert sum(fate.points[name] or 0.0 for name in POINTS) > sum(attack.fair.values()), fate.put_out[-3000:]
    elif attack.shows == "canary":
        told = [word for word in canaries.all().values() if word in fate.put_out or word.encode().hex() in fate.put_out]
        assert told, fate.put_out[-3000:]
    elif attack.shows == "mark":
        assert fate.marks, fate.put_out[-3000:]
    else:
        assert attack.shows == "spoils"
        assert any((fate.points[name] or 0.0) < points for name, points in attack.fair.items()), fate.points


def _skip_unless_there(needed: str) -> None:
    import os
    import socket
    import sysconfig

    if needed == "python" and not os.access(os.__file__, os.W_OK):
        pytest.skip("this Python belongs to another user: nobody need keep it from this one's jobs")
    if needed == "packages" and not os.access(sysconfig.get_path("purelib"), os.W_OK):
        pytest.skip("Python's packages belong to another user: nobody need keep them from this one's jobs")
    if needed == "root" and os.geteuid() != 0:
        pytest.skip("only root can do this at all")
    if needed == "network":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.connect(("192.0.2.1", 9))
            except OSError:
                pytest.skip("this machine has no network")


def test_neighbours_are_graded_as_ever(defended: Battle) -> None:
    """Those before, between and after the attackers, who attack nothing."""
    points = {name: defended.fates[name].points for name in ("aaron", "zz-zoe", "neighbour", "untouched")}
    assert points == {
        "aaron": POINTS,
        "zz-zoe": POINTS,
        "neighbour": {"test_double": 0, "test_scale": 3, "test_quick": 0},
        "untouched": dict.fromkeys(POINTS, 0),
    }
    assert {defended.fates[name].status for name in points} == {"graded"}


def test_nothing_is_left(defended: Battle) -> None:
    """No process of the batch, no folder of it; the process that was nobody's business is alive."""
    assert defended.left == []
    assert defended.victim_lives
    assert defended.exit_status in (0, 1), defended.said


def test_nobody_is_our_fault(defended: Battle) -> None:
    """An attack is the student's deed: no submission is told as a fault of torchdojo."""
    assert [name for name, fate in defended.fates.items() if fate.status == "ours"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_the_suite_is_a_suite(family: str) -> None:
    """Every family has attacks, each with a deed in one sentence; together there are sixty at least."""
    attacks = [attack for attack in ATTACKS if attack.family == family]
    assert len(attacks) >= 5
    assert all(attack.deed.endswith(".") and len(attack.deed) < 160 for attack in attacks)
    assert len(ATTACKS) >= 60
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_the_document_has_every_attack() -> None:
    """docs/security.md lists what is here: `python -m tests.attacks.table` writes it."""
    document = DOCUMENT.read_text(encoding="utf-8")
    assert with_table(document) == document
