"""nbgrader's preprocessors, called one by one on a notebook, with a gradebook that is open already.

Those of nbgrader that open a gradebook of their own for every notebook get the open one; any other step, also a
subclass of one of these, is called as nbgrader calls it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import fastjsonschema
from nbconvert.preprocessors import ClearMetadataPreprocessor, Preprocessor
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.nbgraderformat.common import BaseMetadataValidator
from nbgrader.preprocessors import (
    AssignLatePenalties,
    CheckCellMetadata,
    ClearOutput,
    DeduplicateIds,
    IgnorePattern,
    LimitOutput,
    OverwriteCells,
    OverwriteKernelspec,
    SaveAutoGrades,
)
from nbgrader.utils import is_grade

# What nbgrader's scorer raises at values it has no rule for: 5 of 4, inf, a result without text/plain.
SCORER_ERRORS = (ValueError, KeyError, TypeError, OverflowError)


def run_step(step: Any, node: Any, resources: Any, gradebook: Any) -> tuple[Any, Any]:
    """The notebook and resources after `step`, as calling it would leave them.

    Raises: what the step raises.
    """
    if not getattr(step, "enabled", True):
        return node, resources
    with_open_gradebook = _WITH_OPEN_GRADEBOOK.get(type(step))
    if with_open_gradebook is None:
        return step(node, resources)  # type: ignore[no-any-return]
    with_open_gradebook(step, node, resources, gradebook)
    return node, resources


def is_known(step: Any) -> bool:
    """Whether the step may run inside recording's transaction: it opens no gradebook of its own."""
    return type(step) in _WITH_OPEN_GRADEBOOK or type(step) in _WITHOUT_GRADEBOOK


def _place(step: Any, resources: Any, gradebook: Any) -> None:
    place = resources["nbgrader"]
    step.notebook_id, step.assignment_id = place["notebook"], place["assignment"]
    step.db_url, step.gradebook = place["db_url"], gradebook
    step.student_id = place["student"]


def _overwrite_kernelspec(step: Any, node: Any, resources: Any, gradebook: Any) -> None:
    place = resources["nbgrader"]
    kernelspec = gradebook.find_notebook(place["notebook"], place["assignment"]).kernelspec
    if kernelspec and (whole := json.loads(kernelspec)):
        node.metadata["kernelspec"] = whole


def _overwrite_cells(step: Any, node: Any, resources: Any, gradebook: Any) -> None:
    _place(step, resources, gradebook)
    Preprocessor.preprocess(step, node, resources)
    if step.add_missing_cells:
        try:
            step.add_missing_grade_cells(node, resources)
        except KeyError:  # nbgrader 0.9.6, where the cell before the deleted one is deleted too, or only locked
            _put_back(step, node, gradebook)
        step.add_missing_task_cells(node, resources)


def _put_back(step: Any, node: Any, gradebook: Any) -> None:
    """Each deleted grade cell after the nearest cell before it that is there."""
    notebook = gradebook.find_notebook(step.notebook_id, step.assignment_id)
    points = {cell.name: cell.max_score for cell in notebook.grade_cells}
    solutions = {cell.name for cell in notebook.solution_cells}
    before: set[str] = set()
    for source in notebook.source_cells:
        there = [(cell.metadata.get("nbgrader") or {}).get("grade_id") for cell in node.cells]
        if source.name in points and source.name not in there:
            cell = step.missing_cell_transform(source, points[source.name], is_solution=source.name in solutions)
            at = max((index + 1 for index, name in enumerate(there) if name in before), default=0)
            node.cells.insert(at, cell)
        before.add(source.name)


def _check_cell_metadata(step: Any, node: Any, resources: Any, gradebook: Any) -> None:
    _Validator().validate_nb(node)


def _save_auto_grades(step: Any, node: Any, resources: Any, gradebook: Any) -> None:
    """Every cell is scored, whatever the scorer says of another: those it refuses are left open, and listed."""
    _place(step, resources, gradebook)
    refused = resources["torchdojo"].setdefault("scorer_refused", {})
    for index, cell in enumerate(node.cells):
        try:
            step.preprocess_cell(cell, resources, index)
        except SCORER_ERRORS as error:
            if not is_grade(cell):
                raise
            refused[cell.metadata["nbgrader"]["grade_id"]] = _text(error)


def _assign_late_penalties(step: Any, node: Any, resources: Any, gradebook: Any) -> None:
    """What its `preprocess` does, less opening the gradebook. tests/grading/test_same_as_nbgrader.py watches this."""
    _place(step, resources, gradebook)
    step.init_plugin()
    submission = gradebook.find_submission(step.assignment_id, step.student_id)
    notebook = gradebook.find_submission_notebook(step.notebook_id, step.assignment_id, step.student_id)
    notebook.late_submission_penalty = None
    seconds_late = submission.total_seconds_late
    if seconds_late > 0:
        penalty = step.plugin_inst.late_submission_penalty(step.student_id, notebook.score, seconds_late)
        if penalty is not None:
            notebook.late_submission_penalty = step._check_late_penalty(notebook, penalty)
    gradebook.db.commit()


_WITH_OPEN_GRADEBOOK: dict[type, Callable[[Any, Any, Any, Any], None]] = {
    OverwriteKernelspec: _overwrite_kernelspec,
    OverwriteCells: _overwrite_cells,
    CheckCellMetadata: _check_cell_metadata,
    SaveAutoGrades: _save_auto_grades,
    AssignLatePenalties: _assign_late_penalties,
}
_WITHOUT_GRADEBOOK = (ClearOutput, DeduplicateIds, IgnorePattern, LimitOutput, ClearMetadataPreprocessor)


class _CompiledSchema(BaseMetadataValidator):
    """nbgrader's schema of a cell's metadata, compiled: 1 ms a cell becomes 10 µs. What fails is told by nbgrader."""

    _checks: dict[int, Callable[[Any], Any]] = {}  # noqa: RUF012  (by schema version)

    def validate_cell(self, cell: Any) -> None:
        meta = cell.metadata.get("nbgrader")
        if meta is None:
            return
        if meta.get("schema_version", 0) == self.schema_version:
            check = self._checks.get(self.schema_version)
            if check is None:
                check = self._checks[self.schema_version] = fastjsonschema.compile(self.schema, use_default=False)
            try:
                check(meta)
                return
            except fastjsonschema.JsonSchemaException:
                pass
        super().validate_cell(cell)


class _Validator(MetadataValidator, _CompiledSchema):
    """nbgrader's own rules; their schema is looked up in `_CompiledSchema`, which comes next in the order of bases."""


def _text(error: Exception) -> str:
    return str(error.args[0]) if error.args else type(error).__name__
