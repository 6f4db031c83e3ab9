"""What a student gets of a solution cell. Apart from `release`, since most who ask for it need no nbgrader else."""

from __future__ import annotations


def starter(source: str) -> str:
    """`source` with nbgrader's own stub in the place of each solution region."""
    from nbformat.v4 import new_code_cell
    from nbgrader.preprocessors import ClearSolutions  # 3 s to import

    cell = new_code_cell(source)
    ClearSolutions()._replace_solution_region(cell, "python")  # its public door wants a whole notebook
    return str(cell.source)
