"""Which keys course.yml may have, what their values must be, and what a wrong value is told.

`course_file.py` reads a file against these; `course.py` has the records that everything else reads.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import WithJsonSchema

# ---------------------------------------------------------------------------------------------- values


def _rule(error: str, **constraints: Any) -> Any:
    """What a value must be. `error` is "is not …. Write …."; editors that read the schema show it too."""
    return Field(json_schema_extra={"errorMessage": error}, **constraints)


def _date(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError
    return datetime.strptime(value, "%Y-%m-%d %H:%M")


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, OSError) as error:
        raise ValueError from error
    return value


def _below(value: str) -> str:
    path = PurePosixPath(value)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        raise ValueError
    return value


Text = Annotated[str, _rule("is not a text. Write a few words.", strict=True, pattern=r"\S")]
Name = Annotated[
    str,
    _rule(
        "is not a name. Write letters, digits, dots, dashes and underscores, such as 05-modules.",
        strict=True,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    ),
]
Section = Annotated[
    str,
    _rule('is not a section. Write it in quotes, such as "1.5".', strict=True, pattern=r"^\d+(\.\d+)*$"),
]
Language = Annotated[
    str,
    _rule(
        "is not a language code. Write one such as en or zh.",
        strict=True,
        pattern=r"^[a-z]{2,3}(-[A-Z][A-Za-z]{1,3})?$",
    ),
]
TimeZone = Annotated[
    str,
    _rule("is not a time zone. Write a name such as UTC or Europe/Berlin.", strict=True),
    AfterValidator(_zone),
]
Folder = Annotated[
    str,
    _rule("is not a folder of the course. Write a path below course.yml, such as data.", strict=True),
    AfterValidator(_below),
]
Glob = Annotated[
    str,
    _rule("is not a file of a submission. Write a name or a pattern, such as *.csv.", strict=True),
    AfterValidator(_below),
]
Date = Annotated[
    datetime,
    BeforeValidator(_date),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}$",
            "errorMessage": "is not a date. Write YYYY-MM-DD HH:MM.",
        }
    ),
]
Points = Annotated[float, _rule("is not a number of points. Write a number above 0, such as 14.", strict=True, gt=0)]
Hours = Annotated[float, _rule("is not a number of hours. Write a number from 0, such as 48.", strict=True, ge=0)]
Count = Annotated[int, _rule("is not a count. Write a whole number above 0, such as 1.", strict=True, gt=0)]
Seconds = Annotated[int, _rule("is not a time limit. Write whole seconds above 0, such as 60.", strict=True, gt=0)]
Mebibytes = Annotated[int, _rule("is not a size limit. Write whole mebibytes above 0, such as 512.", strict=True, gt=0)]


# ------------------------------------------------------------------------------------------------ keys


class Keys(BaseModel):
    """A group of keys. A docstring below a key is what an editor shows on hover."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LateKeys(Keys):
    """What coming late costs. With neither key: nothing."""

    model_config = ConfigDict(
        json_schema_extra={
            "errorMessage": "is not a late rule. Write points_off_per_hour: or zero_after_hours: below it, "
            "or leave it out where lateness costs nothing."
        }
    )

    points_off_per_hour: Points | None = None
    """Points taken off for each hour begun after the due date."""
    zero_after_hours: Hours | None = None
    """Later than this many hours after the due date, the submission is worth nothing."""


class LimitKeys(Keys):
    """What one submission may use while it is graded."""

    cell_timeout_s: Seconds = 60
    """Seconds for one cell."""
    notebook_timeout_s: Seconds = 300
    """Seconds for all cells of a notebook together."""
    memory_mib: Mebibytes = 4096
    """Memory, over all processes of the submission."""
    output_mib: Mebibytes = 10
    """Printed text and pictures."""
    disk_mib: Mebibytes = 512
    """Files written."""
    processes: Count = 64
    """Processes at once."""


class RunnerKeys(Keys):
    """A place where submissions run."""

    device: Annotated[Literal["cpu", "cuda"], _rule("is not a device. Write cpu or cuda.")] = "cpu"
    """The device that student code should use."""
    workers: Annotated[
        Count | Literal["auto"], _rule("is not a number of workers. Write a whole number above 0, or auto.")
    ] = "auto"
    """Submissions graded at the same time; auto: as many as there are cores."""
    threads: Count = 1
    """Torch threads for each submission."""
    without_gpu: Annotated[Literal["refuse", "cpu"], _rule("is not an answer. Write refuse or cpu.")] | None = None
    """Only with device cuda, where no GPU is found: refuse to grade (the default), or grade on the cpu."""


class AssignmentKeys(Keys):
    """An assignment: the notebook source/NAME/NOTEBOOK.ipynb."""

    name: Name
    """Names the folder under source/, and the assignment in the gradebook."""
    notebook: Name | None = None
    """The notebook's file name; the assignment's name when left out."""
    section: Section
    """The section of the chapter, in quotes."""
    title: Text
    """What people read."""
    points: Points
    """The most that can be earned; the sum over the notebook's graded cells."""
    due: Date | None = None
    """YYYY-MM-DD HH:MM in the course's time zone; left out: never late."""
    late: LateKeys = LateKeys()
    """What coming late costs."""
    runner: Text = "local"
    """Where it is graded: a name under runners."""
    files: tuple[Glob, ...] = ()
    """Files a submission may bring beside its notebook: names or patterns. Others are dropped."""
    limits: LimitKeys = LimitKeys()
    """Limits that differ from the course's; what is left out here is the course's."""


class CourseKeys(Keys):
    """The syllabus."""

    model_config = ConfigDict(title="course.yml")

    format: Annotated[Literal[1], _rule("is not a format known here. Write format: 1.")]
    """The format of this file."""
    title: Text
    """What people read."""
    course_id: Name
    """The course's name in the gradebook. Keep it once there are grades."""
    languages: Annotated[tuple[Language, ...], _rule("is not a list of languages. Write [en].", min_length=1)]
    """Languages of the notebooks; the first is the one they are written in."""
    timezone: TimeZone = "UTC"
    """The time zone of all dates."""
    data: Folder = "data"
    """The folder with the data sets."""
    sandbox: Annotated[Literal["full", "partial", "none"], _rule("is not a sandbox. Write full, partial or none.")] = (
        "full"
    )
    """How student code is shut in. full: refuse to grade where that cannot be done."""
    limits: LimitKeys = LimitKeys()
    """What one submission may use while it is graded."""
    runners: dict[str, RunnerKeys] = {"local": RunnerKeys()}
    """Places where submissions run, by name."""
    assignments: tuple[AssignmentKeys, ...]
    """The assignments, in order."""
