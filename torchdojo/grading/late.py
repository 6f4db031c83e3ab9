"""Due dates and late rules of course.yml, as nbgrader wants them. Both are set in nbgrader_config.py."""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.plugins import BasePlugin
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Instance

from torchdojo.course import Course


class LatePenalty(BasePlugin):
    """The late rule of each assignment. nbgrader's `AssignLatePenalties` makes one for each notebook."""

    course = Instance(Course).tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        """Points to take off. `AssignLatePenalties` asks for each notebook that came after its due date."""
        course: Course = self.course
        return course.assignment(self.parent.assignment_id).late.penalty(score, total_seconds_late)


class RecordDueDate(NbGraderPreprocessor):
    """Writes an assignment's due date into the gradebook, the only place where nbgrader looks for it.

    In the row of generate_assignment, and first in that of autograde: a date changed in course.yml counts.
    """

    course = Instance(Course).tag(config=True)

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """The notebook as it came. nbconvert calls this once for each notebook."""
        place = resources["nbgrader"]
        due = self.course.assignment(place["assignment"]).due
        if not self.config.GenerateAssignment.get("no_database", False):  # nbgrader's --no-db
            with Gradebook(place["db_url"]) as gradebook:
                gradebook.update_or_create_assignment(place["assignment"], duedate=due)
        return nb, resources
