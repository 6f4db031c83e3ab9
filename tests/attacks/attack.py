"""Attacks as files: tests/attacks/FAMILY/DEED.py, each a docstring that says the deed, and what a student hands in.

CELL = '''…'''        the code in the solution cell of `double`; or CELLS, by grade id, with "imports" and "after"
SHOWS = "points"      what it is after, and how it is seen to succeed against a grader without defence:
    points            grade cells give more than FAIR, which is what the honest part of the work is worth
    canary            a word of what was to be kept hidden comes out
    mark              `"@mark@"[::-1]`, which only code that ran can know, comes out or stays somewhere
    spoils            a test cell loses points that FAIR says the work is worth
UNDEFENDED = …        which grader has no defence against it: "torchdojo" (judged in the kernel, no sandbox, no limits),
                      "nbgrader" (with a kernel that is not forked), "careless" (nbgrader that restores no cell)
NEEDS = "root"        what the machine must give for it to succeed even then: root, network; python, packages: that the
                      interpreter and its library, or the installed packages, are the grader's own to change
STOPPED_BY = "…"      what stands in its way, in words for docs/security.md
OPEN = "…"            why nothing does: expected to fail, and told when it no longer does
FILES = {…}           handed in beside the notebook
def edit(node): …     changes the notebook itself
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
FAMILIES = {
    "patching": "Change what the tests call",
    "forging": "Write a grade where the tests would",
    "reading": "Read what is hidden",
    "lying": "Give back objects that lie",
    "staying": "Outlive the job",
    "breaking": "Take, break or stop what others need",
    "escaping": "Get out of the sandbox",
}


@dataclass(frozen=True)
class Attack:
    """One file of this folder."""

    name: str
    family: str
    deed: str
    shows: str
    stopped_by: str
    cells: Mapping[str, str]
    undefended: str = "torchdojo"
    needs: str = ""
    open: str = ""
    fair: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    edit: Callable[[Any], None] | None = None


def all_attacks() -> list[Attack]:
    """In the order of families, then by name."""
    return [_read(path) for family in FAMILIES for path in sorted((HERE / family).glob("*.py"))]


def _read(path: Path) -> Attack:
    module = _loaded(path)
    return Attack(
        name=path.stem,
        family=path.parent.name,
        deed=" ".join((module.__doc__ or "").split()),
        shows=module.SHOWS,
        stopped_by=module.STOPPED_BY,
        cells=getattr(module, "CELLS", None) or {"double": getattr(module, "CELL", "")},
        undefended=getattr(module, "UNDEFENDED", "torchdojo"),
        needs=getattr(module, "NEEDS", ""),
        open=getattr(module, "OPEN", ""),
        fair=getattr(module, "FAIR", {}),
        files=getattr(module, "FILES", {}),
        edit=getattr(module, "edit", None),
    )


def _loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests.attacks.{path.parent.name}.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
