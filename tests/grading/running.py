"""Ways to run jobs in tests: real kernels one after the other, or, in milliseconds, without a kernel."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from torchdojo.grading.batch import Watch, autograde
from torchdojo.grading.folder import CourseFolder, open_folder
from torchdojo.grading.runners import placement, terms_for
from torchdojo.grading.status import BatchReport, Graded
from torchdojo.kernels.job import CellResult, Job, JobStatus, Result


class InTurn(Executor):
    """Runs what is submitted at once, in this thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def without_kernel(job: Job) -> Result:
    """Run the cells in this process: enough for plain code, and it takes no time."""
    namespace: dict[str, Any] = {}
    results = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, content in job.files:
            target = Path(folder, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        cells = enumerate(json.loads(job.notebook)["cells"])
        code = [(index, cell["source"]) for index, cell in cells if cell["cell_type"] == "code"]
        for count, (index, source) in enumerate(code, start=1):
            results.append(CellResult(index, tuple(_outputs(source, namespace, count)), count))
    return Result(job.key, JobStatus.COMPLETED, tuple(results))


def _outputs(source: str, namespace: dict[str, Any], count: int) -> list[dict[str, Any]]:
    out, err, rest = io.StringIO(), io.StringIO(), []
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            value = _run(source, namespace)
            if value is not None:
                data = {"text/plain": repr(value)}
                rest = [{"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": count}]
        except Exception as error:
            name = type(error).__name__
            rest = [{"output_type": "error", "ename": name, "evalue": str(error), "traceback": [name]}]
    streams = [("stdout", out.getvalue()), ("stderr", err.getvalue())]
    return [{"output_type": "stream", "name": name, "text": text} for name, text in streams if text] + rest


def _run(source: str, namespace: dict[str, Any]) -> Any:
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace) if last is not None else None


def grade(
    course: Path,
    *arguments: str,
    execute: Callable[[Job], Result] = without_kernel,
    assignment: str = "ps1",
    force: bool = False,
    watch: Watch | None = None,
    lock_wait_s: float = 60.0,
    ahead: int = 6,
) -> BatchReport:
    """Autograde a course as the command does, with nbgrader's arguments."""
    folder = open_folder(course, ["--log-level=CRITICAL", *arguments])
    return grade_in(
        folder,
        execute=execute,
        assignment=assignment,
        force=force,
        watch=watch,
        lock_wait_s=lock_wait_s,
        ahead=ahead,
    )


def grade_in(
    folder: CourseFolder,
    *,
    execute: Callable[[Job], Result] = without_kernel,
    assignment: str = "ps1",
    force: bool = False,
    watch: Watch | None = None,
    lock_wait_s: float = 60.0,
    ahead: int = 6,
) -> BatchReport:
    terms = terms_for(folder, assignment, placement(folder, assignment, gpu=False), isolated=True)
    return autograde(
        folder,
        assignment,
        executor=InTurn(),
        execute=execute,
        terms=terms,
        force=force,
        watch=watch,
        lock_wait_s=lock_wait_s,
        ahead=ahead,
    )


def by_student(report: BatchReport) -> dict[str, Graded]:
    return {graded.student: graded for graded in report.graded}
