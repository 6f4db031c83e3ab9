"""nbgrader's configuration, from course.yml: plain `nbgrader` works from this folder with no flags.

nbgrader takes no due dates from a configuration, only from its gradebook: RecordDueDate puts them there.
Solutions and hidden tests are cut out by nbgrader's own rules (### BEGIN SOLUTION, ### BEGIN HIDDEN TESTS).
"""

import asyncio
import os
import shutil
import sys
import sysconfig
from pathlib import Path

from nbgrader.converters import Autograde, GenerateAssignment

from torchdojo.course import load
from torchdojo.errors import AuthorError

if shutil.which("alembic") is None:  # nbgrader runs it by name, also where .venv is not activated
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])

try:
    course = load(Path(__file__).parent)
except AuthorError as error:
    # traitlets logs an exception and goes on without this file, and nbgrader would release what
    # DropAuthorCells drops. So stop; but not a JupyterLab at work, which keeps the configuration it has.
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    raise

c = get_config()  # noqa: F821  (traitlets gives it)

c.CourseDirectory.course_id = course.course_id
# Catalogues translate hidden tests too: no student gets them, and none lies beside a submission that runs.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "*.po"]
c.GenerateAssignment.preprocessors = [
    "torchdojo.authoring.release.DropAuthorCells",
    *GenerateAssignment.preprocessors.default(),
    "torchdojo.grading.late.RecordDueDate",
    "torchdojo.authoring.release.RefuseLeaks",
]
c.Autograde.autograde_preprocessors = [
    "torchdojo.grading.late.RecordDueDate",
    *Autograde.autograde_preprocessors.default(),
]
c.RecordDueDate.course = course
c.LatePenalty.course = course
c.AssignLatePenalties.plugin_class = "torchdojo.grading.late.LatePenalty"

# One number for all assignments is what nbgrader has; `torchdojo autograde` gives each its own limits.
c.Execute.timeout = max((a.limits.cell_timeout_s for a in course.assignments), default=60)
