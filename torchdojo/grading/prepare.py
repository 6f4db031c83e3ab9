"""From a submission to jobs: nbgrader's sanitising steps, cells restored from the gradebook. Writes nothing."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters.exporter import ResourcesDict
from nbgrader.api import MissingEntry
from nbgrader.nbgraderformat import SchemaTooNewError, SchemaTooOldError, ValidationError
from nbgrader.preprocessors import OverwriteCells
from nbgrader.utils import compute_checksum

from torchdojo.authoring.languages import language_named, messages_of, words_file
from torchdojo.checks.language import VARIABLE
from torchdojo.course import FILE
from torchdojo.grade_cell import check_points
from torchdojo.grading.folder import CourseFolder, Submission
from torchdojo.grading.gradebook import AnswerKey
from torchdojo.grading.inputs import Inputs
from torchdojo.grading.repair import ExpectedCell, Repairs, expected_cells, repair, repeatable_ids
from torchdojo.grading.status import Status
from torchdojo.grading.steps import run_step
from torchdojo.kernels.job import Job, Limits

# What nbformat and json raise at text that is no notebook.
_NO_NOTEBOOK = (nbformat.ValidationError, nbformat.reader.NotJSONError, KeyError, AttributeError, TypeError, ValueError)

NO_DATE = (
    ValueError,
    OverflowError,
    AttributeError,
)  # a time stamp; the last from nbgrader 0.9.6, as it says the first


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which terms an assignment's jobs run. Equal terms, submissions, tests and versions give equal grades."""

    limits: Callable[[int], Limits]  # for a notebook of so many code cells
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    sandbox: str = "none"
    isolated: bool = False
    preload: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    read_only: tuple[str, ...] = ()
    execute: bool = True
    note: str = ""  # for every record: what is not as course.yml would have it
    refusal: str = ""  # why nothing of this assignment can run here


@dataclass(slots=True)
class PreparedNotebook:
    """One notebook, sanitised: `node` and `job`, or, where it cannot be graded, `status` and `sentence`."""

    name: str
    node: Any = None
    job: Job | None = None
    expected: Mapping[str, ExpectedCell] = field(default_factory=dict)
    repairs: Repairs = field(default_factory=Repairs)
    status: Status | None = None
    sentence: str = ""


@dataclass(slots=True)
class Prepared:
    """One submission, ready to run. With a `status` it cannot be graded as a whole."""

    submission: Submission
    notebooks: list[PreparedNotebook] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # the assignment's notebooks that were not handed in
    timestamp: Any = None
    inputs: dict[str, Inputs] = field(default_factory=dict)
    submission_id: str | None = None  # the gradebook's, once it is recorded
    status: Status | None = None
    sentence: str = ""

    @property
    def jobs(self) -> list[Job]:
        return [notebook.job for notebook in self.notebooks if notebook.job is not None]


def prepare(
    folder: CourseFolder, key: AnswerKey, submission: Submission, inputs: dict[str, Inputs], terms: Terms
) -> Prepared:
    """The submission's notebooks as they will run. What cannot be graded says why; nothing raises for a student's deed.

    Args:
        folder: the course.
        key: the gradebook, for reading.
        submission: what came in.
        inputs: hashes by notebook, of those that the assignment knows.
        terms: limits, device and so on.
    """
    prepared = Prepared(submission, inputs=inputs)
    if terms.refusal:
        prepared.status, prepared.sentence = Status.REFUSED, terms.refusal
        return prepared
    known = [notebook.name for notebook in key.find_assignment(submission.assignment).notebooks]
    prepared.missing = sorted(name for name in known if not (submission.folder / f"{name}.ipynb").is_file())
    here = [name for name in submission.notebooks if name in known]
    if not here:
        prepared.status, prepared.sentence = Status.MISSING, _nothing_known(submission, known)
        return prepared
    try:
        prepared.timestamp = folder.coursedir.get_existing_timestamp(str(submission.folder))
    except NO_DATE:
        stamp = submission.folder / "timestamp.txt"
        sentence = f"{stamp} is not a date. Write YYYY-MM-DD HH:MM:SS UTC there, or delete it."
        prepared.notebooks = [PreparedNotebook(name, status=Status.REFUSED, sentence=sentence) for name in here]
        return prepared
    prepared.notebooks = [_notebook(folder, key, submission, name) for name in here]
    ready = [notebook for notebook in prepared.notebooks if notebook.status is None]
    if ready and terms.execute:
        files, left_out = _files(folder, submission)
        ready[0].repairs.notes.extend([*left_out, *filter(None, [terms.note])])
        _make_jobs(folder, submission, ready, files, terms)
    return prepared


def resources_for(folder: CourseFolder, submission: Submission, name: str, path: Path) -> ResourcesDict:
    """What nbgrader's steps are told of a notebook that lies in `path`."""
    resources = ResourcesDict()
    resources.update(
        unique_key=name,
        output_files_dir=f"{name}_files",
        output_extension=".ipynb",
        metadata=ResourcesDict(name=name, path=str(path)),
        nbgrader={
            "student": submission.student,
            "assignment": submission.assignment,
            "notebook": name,
            "db_url": folder.coursedir.db_url,
        },
        torchdojo={},
    )
    return resources


def _nothing_known(submission: Submission, known: list[str]) -> str:
    wanted = " and ".join(f"{name}.ipynb" for name in known)
    found = ", ".join(f"'{name}.ipynb'" for name in submission.notebooks)
    if not submission.notebooks:
        return f"no notebook in {submission.folder}. Nothing was handed in? Expected {wanted}."
    return f"{wanted} is not in {submission.folder}, but {found} is. Rename it if it is the one, and autograde again."


def _notebook(folder: CourseFolder, key: AnswerKey, submission: Submission, name: str) -> PreparedNotebook:
    prepared = PreparedNotebook(name)
    path = submission.folder / f"{name}.ipynb"
    try:
        node = _read(path, folder.coursedir.max_file_size)
    except _Unreadable as error:
        prepared.status, prepared.sentence = Status.UNREADABLE, f"{name}.ipynb {error}"
        return prepared
    prepared.expected = expected_cells(key.find_notebook(name, submission.assignment))
    add_missing = any(isinstance(step, OverwriteCells) and step.add_missing_cells for step in folder.sanitize_steps)
    prepared.repairs = repair(node, prepared.expected, add_missing=add_missing)
    if prepared.repairs.refusal:
        prepared.status, prepared.sentence = Status.REFUSED, f"{name}.ipynb: {prepared.repairs.refusal}"
        return prepared
    resources = resources_for(folder, submission, name, submission.folder)
    try:
        for step in (*folder.sanitize_steps, *folder.autograde_steps[0]):
            node, resources = run_step(step, node, resources, key)
    except (SchemaTooOldError, SchemaTooNewError) as error:
        prepared.status = Status.REFUSED
        prepared.sentence = (
            f"{name}.ipynb has nbgrader metadata of version {error.actual_version}, expected {error.expected_version}. "
            f"Copy {submission.folder}, type `nbgrader update {submission.folder}`, and autograde again."
        )
    except (ValidationError, MissingEntry, RuntimeError, KeyError) as error:
        prepared.status = Status.REFUSED
        prepared.sentence = (
            f"{name}.ipynb: nbgrader refuses it ({_first_line(error)}). Mend that cell, autograde again."
        )
    else:
        _finish(prepared, node)
    return prepared


def _finish(prepared: PreparedNotebook, node: Any) -> None:
    node = nbformat.from_dict(node)  # cells that nbgrader put back are made of plain dicts
    repeatable_ids(node)
    try:
        # by the kernelspec that it runs with: nbgrader has put the assignment's own there
        _refuse_other_languages(node)
        nbformat.validate(node, relax_add_props=True)
    except _Unreadable as error:
        prepared.status, prepared.sentence = Status.UNREADABLE, f"{prepared.name}.ipynb {error}"
    except nbformat.ValidationError as error:
        prepared.status = Status.UNREADABLE
        why = _first_line(error)
        prepared.sentence = (
            f"{prepared.name}.ipynb is JSON but no notebook ({why}). Ask for it again, saved in JupyterLab."
        )
    prepared.node = node


class _Unreadable(Exception):
    """A file that is no notebook: what is wrong, and what to do."""


def _read(path: Path, largest_kb: int) -> Any:
    """The notebook in `path`. Raises `_Unreadable`."""
    size = path.stat().st_size
    again = "Ask for it again, saved in JupyterLab."
    if size > 1000 * largest_kb:
        raise _Unreadable(
            f"is {size / 1e6:.0f} MB, the limit is {largest_kb / 1000:.0f} (CourseDirectory.max_file_size). "
            "Ask for it again with its outputs cleared."
        )
    if not size:
        raise _Unreadable(f"is empty. {again}")
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text)
        current = isinstance(raw, dict) and raw.get("nbformat") == 4
        node = nbformat.v4.to_notebook(raw) if current else nbformat.reads(text, as_version=4)
        _refuse_other_shapes(node)
    except UnicodeDecodeError as error:
        raise _Unreadable(f"is not UTF-8 text ({error.reason}). {again}") from error
    except json.JSONDecodeError as error:
        raise _Unreadable(f"is not JSON (line {error.lineno}: {error.msg}). {again}") from error
    except (RecursionError, MemoryError) as error:
        raise _Unreadable(f"is nested too deeply to be a notebook. {again}") from error
    except _NO_NOTEBOOK as error:
        raise _Unreadable(f"is JSON but no notebook ({_first_line(error)}). {again}") from error
    return node


def _refuse_other_shapes(node: Any) -> None:
    """What the steps rely on; nbformat validates after them, as in nbgrader, when outputs are cleared."""
    for index, cell in enumerate(node.cells):
        fields: Any = cell if isinstance(cell, dict) else {}
        whole = isinstance(fields.get("metadata"), dict) and isinstance(fields.get("source"), str)
        if not whole or cell.cell_type not in ("code", "markdown", "raw"):
            raise ValueError(f"cell {index + 1} is no cell")


def _refuse_other_languages(node: Any) -> None:
    kernelspec = node.metadata.get("kernelspec") or {}
    language = kernelspec.get("language") or (node.metadata.get("language_info") or {}).get("name") or "python"
    if language.lower() not in ("python", "python3", "ipython"):
        raise _Unreadable(f"is written in {language}; torchdojo runs Python. Grade it with nbgrader itself.")


def _files(folder: CourseFolder, submission: Submission) -> tuple[dict[str, Path], list[str]]:
    """What lies beside the notebook when it runs, and what of the submission was left out."""
    given = folder.given_files(submission.assignment)
    brought = folder.brought_files(submission)
    left_out: list[str] = []
    if folder.course is not None:
        assignment = folder.course.assignment(submission.assignment)
        allowed = assignment.files
        wanted = {name for name in brought if any(fnmatch.fnmatch(name, pattern) for pattern in allowed)}
        ours = {"timestamp.txt", *(words_file(assignment, lang) for lang in folder.course.languages)}
        left_out = sorted(set(brought) - wanted - set(given) - ours)
        brought = {name: path for name, path in brought.items() if name in wanted}
    notes = [f"{', '.join(left_out)} did not run: {FILE} does not list it under files."] if left_out else []
    return brought | given, notes


def _make_jobs(
    folder: CourseFolder,
    submission: Submission,
    notebooks: list[PreparedNotebook],
    files: dict[str, Path],
    terms: Terms,
) -> None:
    size_mib = sum(path.stat().st_size for path in files.values()) / 2**20
    contents: tuple[tuple[str, bytes], ...] | None = None
    for notebook in notebooks:
        limits = terms.limits(sum(cell.cell_type == "code" for cell in notebook.node.cells))
        if 0 < limits.disk_mib < size_mib:
            notebook.status = Status.REFUSED
            notebook.sentence = (
                f"{len(files)} files of {size_mib:.0f} MiB came with it, the limit is {limits.disk_mib} (disk_mib). "
                f"Delete what is not needed from {submission.folder}, and autograde again."
            )
            continue
        if contents is None:
            contents = tuple((name, path.read_bytes()) for name, path in sorted(files.items()))
        language = language_named(notebook.node.metadata, folder.course)
        named = ((VARIABLE, language),) if folder.course and language != folder.course.languages[0] else ()
        notebook.job = Job(
            key=f"{submission.assignment}/{submission.student}/{notebook.name}",
            notebook=json.dumps(notebook.node, ensure_ascii=False).encode("utf-8", "surrogatepass"),
            files=contents,
            limits=limits,
            device=terms.device,
            threads=terms.threads,
            seed=terms.seed,
            preload=terms.preload,
            environment=(*terms.environment, *named),
            sandbox=terms.sandbox,
            read_only=terms.read_only,
            isolated=tuple(_isolated_cells(notebook, _put_back_line(folder))) if terms.isolated else (),
            language=language,
            messages=messages_of(folder.course, submission.assignment, language) if folder.course else (),
        )


def _put_back_line(folder: CourseFolder) -> str:
    """What nbgrader writes above a deleted cell that it puts back, with `{cell_id}` in it."""
    step = next((step for step in folder.sanitize_steps if isinstance(step, OverwriteCells)), None)
    return f"# {step.missing_cell_notification}" if step is not None and step.add_missing_cells else ""


def _isolated_cells(notebook: PreparedNotebook, put_back: str) -> Iterator[tuple[int, float]]:
    """Grade cells of tests for `student`, as the gradebook has them. A cell that a student made is never one.

    One that was deleted and put back is, with `put_back` above it.
    """
    for index, cell in enumerate(notebook.node.cells):
        want = notebook.expected.get((cell.metadata.get("nbgrader") or {}).get("grade_id", ""))
        if want is None or not want.grade or want.solution or cell.cell_type != "code":
            continue
        released = nbformat.from_dict(cell)
        released.source = cell.source.removeprefix(put_back.format(cell_id=want.name))
        points = check_points(released.source)
        if points is not None and compute_checksum(released) == want.checksum:
            yield index, points


def _first_line(error: BaseException) -> str:
    text = str(error.args[0] if error.args else error).strip() or type(error).__name__
    return text.splitlines()[0][:200]
