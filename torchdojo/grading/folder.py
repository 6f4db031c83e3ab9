"""A course's folder as nbgrader is configured for it: where things lie, which steps a notebook goes through.

Any nbgrader course: `course.yml` is read where there is one, and adds limits, devices and files.
"""

from __future__ import annotations

import contextlib
import functools
import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.apps.autogradeapp import AutogradeApp
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute
from nbgrader.utils import find_all_files
from traitlets.utils.importstring import import_item

from torchdojo.course import FILE, Course, load
from torchdojo.grading.late import RecordDueDate
from torchdojo.kernels.job import Limits

_NO_LIMIT_S = 86_400.0  # nbgrader's `Execute.timeout = None`; a job's times are positive


@dataclass(frozen=True, slots=True)
class Submission:
    """What a student handed in for an assignment. `notebooks` are names without `.ipynb`, sorted."""

    assignment: str
    student: str
    folder: Path
    notebooks: tuple[str, ...]


class CourseFolder:
    """nbgrader's own converter, its configuration and its steps; `course` is None where there is no course.yml.

    Args:
        app: nbgrader's application, initialised: its configuration files and command line are read.
    """

    def __init__(self, app: Any) -> None:
        self.converter = Autograde(coursedir=app.coursedir, parent=app)
        self.converter.exporter = self.converter.exporter_class(parent=self.converter, config=self.converter.config)
        self.coursedir = app.coursedir
        self.root = Path(app.coursedir.root)
        self.course: Course | None = load(self.root) if (self.root / FILE).is_file() else None
        self._timeout_typed = "timeout" in app.cli_config.get("Execute", {})

    # ------------------------------------------------------------------------------------------ places

    def submitted(self, assignment: str, student: str) -> Path:
        """Where the student's files came in."""
        return Path(self.coursedir.format_path(self.coursedir.submitted_directory, student, assignment))

    def autograded(self, assignment: str, student: str) -> Path:
        """Where the graded notebooks are laid."""
        return Path(self.coursedir.format_path(self.coursedir.autograded_directory, student, assignment))

    def source(self, assignment: str) -> Path:
        """The instructor's own notebooks, and the files that come with them."""
        return Path(self.coursedir.format_path(self.coursedir.source_directory, ".", assignment))

    @property
    def state(self) -> Path:
        """Torchdojo's own files: the journal and the lock."""
        return self.root / ".torchdojo"

    def submissions(self, assignment: str) -> list[Submission]:
        """What came in for `assignment`, by student, as `--student`, `--notebook` and the exclusions choose.

        A folder without any notebook is among them, with none.
        """
        pattern = self.coursedir.format_path(
            self.coursedir.submitted_directory, "(?P<student>.*)", re.escape(assignment), escape=True
        )
        excluded = self.coursedir.student_id_exclude.split(",")
        found = []
        for folder in self._glob(self.submitted(assignment, self.coursedir.student_id)):
            match = re.fullmatch(pattern, str(folder))
            if match and folder.is_dir() and match["student"] not in excluded:
                notebooks = sorted(path.stem for path in self._glob(folder / f"{self.coursedir.notebook_id}.ipynb"))
                found.append(Submission(assignment, match["student"], folder, tuple(notebooks)))
        return sorted(found, key=lambda submission: submission.student)

    def _glob(self, pattern: Path) -> Iterable[Path]:
        return [Path(found) for found in sorted(glob.glob(str(pattern)))]  # not Path.glob: it finds dotfiles

    @functools.cache  # noqa: B019  (lives as long as a batch)
    def given_files(self, assignment: str) -> dict[str, Path]:
        """The assignment's own files beside its notebook, by relative name: they replace what a student changed."""
        kept = set(self.converter.exclude_overwriting.get(assignment, []))
        return {name: path for name, path in self._files(self.source(assignment)) if name not in kept}

    def brought_files(self, submission: Submission) -> dict[str, Path]:
        """What a student handed in beside the notebooks, by relative name. Links out of the folder are not followed."""
        inside = submission.folder.resolve()
        return {name: path for name, path in self._files(submission.folder) if path.resolve().is_relative_to(inside)}

    def _files(self, folder: Path) -> Iterable[tuple[str, Path]]:
        for found in sorted(find_all_files(str(folder), [*self.coursedir.ignore, "*.ipynb"])):
            path = Path(found)
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path

    # ------------------------------------------------------------------------------------------- steps

    @functools.cached_property
    def sanitize_steps(self) -> list[Any]:
        """nbgrader's first row: before a notebook runs."""
        return self._steps(self.converter.sanitize_preprocessors)

    @functools.cached_property
    def _autograde_row(self) -> list[Any]:
        return self._steps(self.converter.autograde_preprocessors)

    @functools.cached_property
    def autograde_steps(self) -> tuple[list[Any], list[Any]]:
        """nbgrader's second row, what stands before `Execute` and what stands after it."""
        row = [step for step in self._autograde_row if not isinstance(step, RecordDueDate)]
        at = next((index for index, step in enumerate(row) if isinstance(step, Execute)), len(row))
        return row[:at], row[at + 1 :]

    @functools.cached_property
    def once_steps(self) -> list[Any]:
        """What is needed once for an assignment, though it stands in nbgrader's second row."""
        return [step for step in self._autograde_row if isinstance(step, RecordDueDate)]

    @functools.cached_property
    def execute(self) -> Any:
        """nbgrader's `Execute`, never run here: only its configuration is read. None when the course has none."""
        return next((step for step in self._autograde_row if isinstance(step, Execute)), None)

    def _steps(self, row: Sequence[Any]) -> list[Any]:
        classes = [import_item(step) if isinstance(step, str) else step for step in row]
        return [step(parent=self.converter.exporter) if isinstance(step, type) else step for step in classes]

    def limits(self, assignment: str, code_cells: int) -> Limits:
        """What a notebook of that many code cells may use.

        From course.yml. Elsewhere nbgrader's `Execute.timeout` for a cell, as many times that as there are cells for
        the notebook, and the defaults of `Limits` for the rest. A timeout typed on the command line always counts.
        """
        if self.course is not None:
            own = self.course.assignment(assignment).limits
            limits = Limits(**{name: getattr(own, name) for name in own.__slots__})
            if not self._timeout_typed:
                return limits
        else:
            limits = Limits()
        cell_s = float(getattr(self.execute, "timeout", None) or 0)
        cell_s = cell_s if cell_s > 0 else _NO_LIMIT_S
        others = {name: getattr(limits, name) for name in ("memory_mib", "output_mib", "disk_mib", "processes")}
        return Limits(cell_timeout_s=cell_s, notebook_timeout_s=cell_s * max(code_cells, 1), **others)


def open_folder(root: Path, arguments: Sequence[str] = ()) -> CourseFolder:
    """The course in `root`, configured by its nbgrader_config.py and by `arguments`, as typed for nbgrader.

    Raises: AuthorError from course.yml.
    """
    app = AutogradeApp()
    with contextlib.chdir(root):  # nbgrader also reads the configuration in the working folder, whatever the course
        app.initialize([f"--course-dir={root.absolute()}", *arguments])
    return CourseFolder(app)
