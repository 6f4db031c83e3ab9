"""`autograded/STUDENT/ASSIGNMENT/`, as nbgrader leaves it: built beside its place, moved there when whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter

from torchdojo.errors import OursError
from torchdojo.grading.folder import CourseFolder, Submission


@dataclass(frozen=True, slots=True)
class NewFolder:
    """A folder being built. It is hidden from nbgrader's searches, and on the disk of its place."""

    folder: CourseFolder
    submission: Submission

    @property
    def place(self) -> Path:
        return self.folder.autograded(self.submission.assignment, self.submission.student)

    @property
    def path(self) -> Path:
        return self.place.with_name(f".{self.place.name}.torchdojo-new")

    @property
    def old(self) -> Path:
        """Where the folder that is replaced waits to be removed."""
        return self.place.with_name(f".{self.place.name}.torchdojo-old")

    def write_notebook(self, name: str, node: Any, resources: Any) -> None:
        """Write a notebook as nbgrader's exporter would."""
        exporter = self.folder.converter.exporter
        if type(exporter) is NotebookExporter and exporter.nbformat_version == 4:
            output = nbformat.v4.writes(node) + "\n"
        else:
            output, _ = exporter.from_notebook_node(node, resources=resources)
        target = self.path / f"{name}{exporter.file_extension}"
        target.unlink(missing_ok=True)
        target.write_text(output, encoding="utf-8", errors="surrogatepass")

    def lay_down(self) -> None:
        """Move it to its place. Until then whatever is there stays."""
        _set_permissions(self.folder, self.path)
        if self.place.exists():
            self.place.rename(self.old)
        self.path.rename(self.place)


@contextlib.contextmanager
def new_folder(folder: CourseFolder, submission: Submission) -> Iterator[NewFolder]:
    """A folder with the submission's files, the assignment's own in place of changed ones. Gone if not laid down.

    Raises: OursError when the disk is full or the place is not writable.
    """
    new = NewFolder(folder, submission)
    try:
        _remove(new.path)
        new.path.parent.mkdir(parents=True, exist_ok=True)
        if folder.coursedir.notebook_id != "*" and new.place.exists():  # only some notebooks: the others stay
            shutil.copytree(new.place, new.path)
        else:
            new.path.mkdir()
        files = folder.brought_files(submission) | folder.given_files(submission.assignment)
        _copy(files.items(), new.path)
        yield new
        _remove(new.old)
    except OSError as error:
        raise OursError(
            f"{new.place}: cannot be written ({error.strerror or error}). Mend that, then type the same command "
            "again: it goes on with this submission."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            _remove(new.path)


def remove_autograded(folder: CourseFolder, submission: Submission) -> None:
    """Remove what stands from an earlier submission, as nbgrader does when the new one fails."""
    place = folder.autograded(submission.assignment, submission.student)
    if folder.coursedir.notebook_id == "*":
        _remove(place)
    else:
        for name in submission.notebooks:
            (place / f"{name}.ipynb").unlink(missing_ok=True)


def remove_leftovers(folder: CourseFolder, submission: Submission) -> None:
    """Remove what a killed run left beside the place."""
    new = NewFolder(folder, submission)
    _remove(new.path)
    _remove(new.old)


def _copy(files: Iterable[tuple[str, Path]], into: Path) -> None:
    for name, path in files:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # what is there from before may be read-only
        shutil.copy(path, target)


def _set_permissions(folder: CourseFolder, build: Path) -> None:
    """`BaseConverter.permissions` for files, and group rights for folders where the course is groupshared."""
    mode = int(str(folder.converter.permissions), 8)
    folders = [build]
    for path in build.rglob("*"):
        if path.is_dir():
            folders.append(path)
        else:
            path.chmod(mode)
    if folder.coursedir.groupshared:
        root = Path(folder.coursedir.format_path(folder.coursedir.autograded_directory, ".", "."))
        for path in (*folders, root):
            current = path.stat().st_mode
            if current & 0o2770 != 0o2770:
                with contextlib.suppress(PermissionError):
                    os.chmod(path, (current | 0o2770) & 0o2777)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
