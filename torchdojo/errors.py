"""Whose mistake it is: the course author's, the student's, or ours.

A message says what is wrong, where, what was expected against what came, and what to do next:
`course.yml:31: assignments[3].due: '2026-13-01' is not a date. Write YYYY-MM-DD HH:MM.`
"""


class TorchdojoError(Exception):
    """An error whose message is for the person who can mend it. Raise one of the three below."""

    exit_status: int = 3


class StudentError(TorchdojoError):
    """The student's mistake. One next action, and none of our traceback."""

    exit_status = 1


class AuthorError(TorchdojoError):
    """The course author's mistake, in course.yml, a source notebook or a command line."""

    exit_status = 2


class OursError(TorchdojoError):
    """Torchdojo's own fault, or the machine's. Never costs a student points."""

    exit_status = 3
