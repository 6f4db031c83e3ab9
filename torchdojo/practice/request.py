"""What was typed after `torchdojo check`, and where its course lies. Light: every call of the command imports it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchdojo.errors import AuthorError

_COURSE_FILE = "course.yml"  # course.FILE; its module costs 20 ms


@dataclass(frozen=True, slots=True)
class Request:
    """A check as it was asked for. Plain data: it crosses to the warm server as JSON.

    `notebook` is as typed, a path or an assignment's name; `exercises` is empty for all of them. `here` is the folder
    it was typed in, `root` the course's. `sandbox` is a level, or empty for course.yml's.
    """

    notebook: str
    exercises: tuple[str, ...]
    here: str
    root: str
    sandbox: str = ""

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> Request:
        """From what `to_plain` gave."""
        return cls(**{**plain, "exercises": tuple(plain["exercises"])})


def find_root(notebook: str, here: Path, course_dir: str = "") -> Path:
    """The course's folder: the one that was typed, or else the nearest above the notebook, or else above `here`.

    Raises: AuthorError
    """
    if course_dir:
        root = here / course_dir
        if not (root / _COURSE_FILE).is_file():
            raise AuthorError(f"{root} has no {_COURSE_FILE}. Name the folder of a course with --course-dir.")
        return root.resolve()
    path = here / notebook
    starts = [path.resolve().parent, here] if path.is_file() else [here]
    for start in starts:
        for folder in (start, *start.parents):
            if (folder / _COURSE_FILE).is_file():
                return folder.resolve()
    places = " or ".join(str(start) for start in starts)
    raise AuthorError(
        f"{_COURSE_FILE}: not found in {places} or above. Go to the course's folder, or name it: --course-dir."
    )
