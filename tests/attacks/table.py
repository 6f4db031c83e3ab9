"""The table of attacks in docs/security.md. `python -m tests.attacks.table` writes it; a test says when it is stale."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.attacks.attack import FAMILIES, Attack, all_attacks

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "security.md"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
_UNDEFENDED = {
    "points": "earned points",
    "canary": "read it",
    "mark": "did it",
    "spoils": "cost points of other work",
}
_GRADER = {"torchdojo": "", "nbgrader": " (plain nbgrader)", "careless": " (nbgrader that restores no cell)"}


def table(attacks: Iterable[Attack]) -> str:
    """One table a family, in Markdown."""
    return "\n".join(_lines(list(attacks)))


def _lines(attacks: list[Attack]) -> Iterator[str]:
    for family, title in FAMILIES.items():
        yield f"\n### {title} ({family})\n"
        yield "| What the student's code does | Undefended it | Stopped by |"
        yield "|---|---|---|"
        for attack in attacks:
            if attack.family == family:
                deed = f"[{attack.deed}](../tests/attacks/{family}/{attack.name}.py)"
                yield f"| {deed} | {_UNDEFENDED[attack.shows]}{_GRADER[attack.undefended]} | {_stopped(attack)} |"
    yield ""


def _stopped(attack: Attack) -> str:
    return f"**open**: {attack.open}" if attack.open else attack.stopped_by


def with_table(document: str) -> str:
    """The document with the table as it is now."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(all_attacks())}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
