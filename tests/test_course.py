"""course.yml becomes records, and each mistake in it is told with its line and its remedy."""

# ruff: noqa: E501  what is said is compared whole, one mistake a line

import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from torchdojo import course
from torchdojo.course import Course, LateRule, Limits
from torchdojo.errors import AuthorError

ROOT = Path(__file__).parents[1]

GOOD = """\
format: 1
title: A course
course_id: tiny
languages: [en, zh]
timezone: Asia/Shanghai
data: data
sandbox: partial
limits:
  cell_timeout_s: 30
  memory_mib: 2048
runners:
  local:
    workers: 2
  gpu:
    device: cuda
    without_gpu: cpu
assignments:
  - name: one
    section: "1.1"
    title: The first
    points: 10
    due: 2026-10-05 23:59
    late: {points_off_per_hour: 0.5, zero_after_hours: 48}
    files: ["*.csv"]
  - name: two
    notebook: second.ipynb
    section: "1.10"
    title: The second
    points: 12.5
    runner: gpu
    limits:
      cell_timeout_s: 240
"""


def written(folder: Path, text: str | bytes) -> Path:
    file = folder / "course.yml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def complaint(folder: Path, text: str | bytes) -> str:
    """What is said of `text`, without the file's folder."""
    file = written(folder, text)
    with pytest.raises(AuthorError) as caught:
        course.load(file)
    return str(caught.value).replace(str(file), "course.yml")


@pytest.fixture
def tiny(tmp_path: Path) -> Course:
    return course.load(written(tmp_path, GOOD))


# --------------------------------------------------------------------------------------------- records


def test_a_course_is_read(tiny: Course, tmp_path: Path) -> None:
    """What course.yml says is what the records hold."""
    assert (tiny.root, tiny.data) == (tmp_path, tmp_path / "data")
    assert (tiny.title, tiny.course_id, tiny.languages) == ("A course", "tiny", ("en", "zh"))
    assert (tiny.sandbox, tiny.timezone) == ("partial", "Asia/Shanghai")
    assert [(a.name, a.notebook, a.section, a.points) for a in tiny.assignments] == [
        ("one", "one", "1.1", 10.0),
        ("two", "second", "1.10", 12.5),
    ]
    assert tiny.assignment("one").files == ("*.csv",)
    assert tiny.source_notebook(tiny.assignment("two")) == tmp_path / "source/two/second.ipynb"


def test_limits_are_the_courses_unless_the_assignment_says_otherwise(tiny: Course) -> None:
    """A limit is the assignment's own, else the course's, else the default."""
    assert tiny.assignment("one").limits == tiny.limits == Limits(30, 300, 2048, 10, 512, 64)
    assert tiny.assignment("two").limits == Limits(240, 300, 2048, 10, 512, 64)


def test_runners_have_defaults(tiny: Course) -> None:
    """A runner is a cpu, takes as many workers as there are cores, and refuses to do without a GPU."""
    local, gpu = tiny.runners["local"], tiny.runners["gpu"]
    assert (local.device, local.workers, local.threads, local.without_gpu) == ("cpu", 2, 1, "refuse")
    assert (gpu.device, gpu.workers, gpu.without_gpu) == ("cuda", "auto", "cpu")
    assert (tiny.assignment("one").runner, tiny.assignment("two").runner) == ("local", "gpu")


def test_a_due_date_is_in_the_courses_time_zone(tiny: Course) -> None:
    """23:59 in Shanghai is 15:59 in UTC; an assignment without a date is never due."""
    due = tiny.assignment("one").due
    assert due is not None
    assert due.astimezone(UTC) == datetime(2026, 10, 5, 15, 59, tzinfo=UTC)
    assert due.utcoffset() == timedelta(hours=8)
    assert tiny.assignment("two").due is None


def test_records_pickle_and_are_frozen(tiny: Course) -> None:
    """What crosses a process pickles, and nobody changes it on the way."""
    assert pickle.loads(pickle.dumps(tiny)) == tiny
    with pytest.raises(AttributeError):
        tiny.assignments[0].points = 100  # type: ignore[misc]


@pytest.mark.parametrize(
    ("hours_late", "expected"),
    [(-1, 0), (0, 0), (0.1, 0.5), (1, 0.5), (1.5, 1), (47.9, 10), (48, 10), (48.1, 10)],
)
def test_a_late_rule_counts_hours_begun(hours_late: float, expected: float) -> None:
    """Half a point for each hour begun, and never more than there was."""
    assert LateRule(0.5, 48).penalty(10, 3600 * hours_late) == expected


def test_a_late_rule_may_be_zero_at_once_or_nothing() -> None:
    """With zero_after_hours alone all is lost after them and nothing before; without keys nothing ever."""
    assert LateRule(zero_after_hours=0).penalty(10, 1) == 10
    assert LateRule(zero_after_hours=2).penalty(10, 7200) == 0
    assert LateRule().penalty(10, 1e9) == 0


@pytest.mark.parametrize(("name", "remedy"), [("tow", "Did you mean two?"), ("x", "Write one of: one, two.")])
def test_an_unknown_assignment_suggests_the_nearest(tiny: Course, name: str, remedy: str) -> None:
    """A wrong name is told, with the nearest or else with all."""
    with pytest.raises(AuthorError, match=f"'{name}' is not an assignment of this course. ") as caught:
        tiny.assignment(name)
    assert str(caught.value).endswith(remedy)


# ---------------------------------------------------------------------------------------------- finding


def test_course_yml_is_found_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a path, the nearest course.yml from here upwards is the course."""
    written(tmp_path, GOOD)
    inner = tmp_path / "source" / "one"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert course.load().root == tmp_path


def test_a_folder_will_do(tmp_path: Path) -> None:
    """A path may be the file's or its folder's."""
    assert course.load(written(tmp_path, GOOD)) == course.load(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No course.yml, here or at the path given, is the author's mistake."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AuthorError, match=r"^course\.yml: not found in .* or a folder above\. Go to"):
        course.load()
    with pytest.raises(AuthorError, match=r"^nowhere\.yml: not found\. Name a course\.yml"):
        course.load(Path("nowhere.yml"))


# --------------------------------------------------------------------------------------------- mistakes

MISTAKES = {  # what is replaced, by what, and what is said
    "bad date": ("2026-10-05 23:59", "2026-13-01", "22: assignments[0].due: '2026-13-01' is not a date. Write YYYY-MM-DD HH:MM."),
    "date without time": ("2026-10-05 23:59", "2026-10-05", "22: assignments[0].due: '2026-10-05' is not a date. Write YYYY-MM-DD HH:MM."),
    "date with seconds": ("23:59", "23:59:59", "22: assignments[0].due: '2026-10-05 23:59:59' is not a date. Write YYYY-MM-DD HH:MM."),
    "number for a date": ("2026-10-05 23:59", "20261005", "22: assignments[0].due: 20261005 is not a date. Write YYYY-MM-DD HH:MM."),
    "unknown key": ("    due:", "    deu:", "22: assignments[0].deu: unknown key. Did you mean due?"),
    "unknown limit": ("memory_mib", "memory_mb", "10: limits.memory_mb: unknown key. Did you mean memory_mib?"),
    "unknown key unlike any": ("data: data", "qqqq: 1", "6: qqqq: unknown key. Write one of: format, title, course_id, languages, timezone, data, sandbox, limits, runners, assignments."),
    "missing key": ("    points: 10\n", "", "18: assignments[0].points: missing. Write a number above 0, such as 14."),
    "missing title": ("title: A course\n", "", "1: title: missing. Write a few words."),
    "unknown format": ("format: 1", "format: 2", "1: format: 2 is not a format known here. Write format: 1."),
    "text for a number": ("points: 10", "points: '10'", "21: assignments[0].points: '10' is not a number of points. Write a number above 0, such as 14."),
    "no points": ("points: 10", "points: 0", "21: assignments[0].points: 0 is not a number of points. Write a number above 0, such as 14."),
    "nothing": ("points: 10", "points:", "21: assignments[0].points: nothing is not a number of points. Write a number above 0, such as 14."),
    "negative limit": ("cell_timeout_s: 30", "cell_timeout_s: -30", "9: limits.cell_timeout_s: -30 is not a time limit. Write whole seconds above 0, such as 60."),
    "negative own limit": ("240", "-240", "32: assignments[1].limits.cell_timeout_s: -240 is not a time limit. Write whole seconds above 0, such as 60."),
    "yes for a limit": ("2048", "true", "10: limits.memory_mib: true is not a size limit. Write whole mebibytes above 0, such as 512."),
    "section without quotes": ('"1.10"', "1.10", '27: assignments[1].section: 1.1 is not a section. Write it in quotes, such as "1.5".'),
    "duplicate name": ("name: two", "name: one", "25: assignments[1].name: 'one' is the name of assignments[0] already. Write another name."),
    "name with a slash": ("name: two", "name: two/2", "25: assignments[1].name: 'two/2' is not a name. Write letters, digits, dots, dashes and underscores, such as 05-modules."),
    "unknown runner": ("runner: gpu", "runner: gpus", "30: assignments[1].runner: 'gpus' is not one of the runners. Did you mean gpu?"),
    "no local runner": ("  local:\n    workers: 2\n", "", "16: assignments[0].runner: 'local' is not one of the runners. Write one of: gpu."),
    "unknown device": ("device: cuda", "device: gpu", "15: runners.gpu.device: 'gpu' is not a device. Write cpu or cuda."),
    "cpu without gpu": ("device: cuda", "device: cpu", "16: runners.gpu.without_gpu: means nothing with device cpu. Write device: cuda, or remove this line."),
    "some workers": ("workers: 2", "workers: some", "13: runners.local.workers: 'some' is not a number of workers. Write a whole number above 0, or auto."),
    "number as a runner's name": ("  local:\n", "  7:\n", "12: runners[7]: 7 is not a name. Write it in quotes."),
    "bad language": ("[en, zh]", "[english, zh]", "4: languages[0]: 'english' is not a language code. Write one such as en or zh."),
    "no languages": ("[en, zh]", "[]", "4: languages: an empty list is not a list of languages. Write [en]."),
    "bad time zone": ("Asia/Shanghai", "Mars", "5: timezone: 'Mars' is not a time zone. Write a name such as UTC or Europe/Berlin."),
    "unknown sandbox": ("partial", "half", "7: sandbox: 'half' is not a sandbox. Write full, partial or none."),
    "folder outside": ("data: data", "data: ../data", "6: data: '../data' is not a folder of the course. Write a path below course.yml, such as data."),
    "file outside": ("*.csv", "/etc/passwd", "24: assignments[0].files[0]: '/etc/passwd' is not a file of a submission. Write a name or a pattern, such as *.csv."),
    "negative penalty": ("0.5", "-0.5", "23: assignments[0].late.points_off_per_hour: -0.5 is not a number of points. Write a number above 0, such as 14."),
    "a word for a late rule": ("{points_off_per_hour: 0.5, zero_after_hours: 48}", "none", "23: assignments[0].late: 'none' is not a late rule. Write points_off_per_hour: or zero_after_hours: below it, or leave it out where lateness costs nothing."),
    "group for a text": ("title: A course", "title: {en: A course}", "2: title: a group of keys is not a text. Write a few words."),
    "text for a group": ("limits:\n  cell_timeout_s: 30\n  memory_mib: 2048\n", "limits: many\n", "8: limits: 'many' is not a group of keys. Write one `key: value` a line, indented."),
    "key twice": ("data: data", "title: B", "6: title: written twice. Keep one of the two."),
    "inner key twice": ("memory_mib: 2048", "cell_timeout_s: 2", "10: limits.cell_timeout_s: written twice. Keep one of the two."),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    """File, line, path inside it, what came, what was expected, and what to write."""
    assert old in GOOD
    message = complaint(tmp_path, GOOD.replace(old, new, 1))
    assert f"course.yml:{said}" in message.splitlines()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "course.yml:1: empty. Write `format: 1` and the course's title, to begin with."),
        ("# later\n", "course.yml:1: empty. Write `format: 1` and the course's title, to begin with."),
        ("title: a: b\n", "course.yml:1: not YAML (mapping values are not allowed here). Mend"),
        ("format: 1\nlanguages: [en\ntitle: x\n", "course.yml:3: not YAML (expected ',' or ']'"),
        ("format: 1\ntitle: \x07\n", "course.yml:2: not YAML (unprintable character). Mend"),
        (b"format: 1\ntitle: \xff\n", "course.yml:2: not UTF-8 text. Save the file as UTF-8."),
        ("- format: 1\n", "course.yml:1: a list is not a group of keys. Write one `key: value` a line"),
        ("format: 1\n---\ntitle: x\n", "course.yml:2: not YAML (but found another document). Mend"),
    ],
)
def test_a_file_that_is_no_yaml_is_told(tmp_path: Path, text: str | bytes, said: str) -> None:
    """What cannot be read at all is one sentence with the line, and no traceback."""
    message = complaint(tmp_path, text)
    assert message.startswith(said)
    assert "\n" not in message


def test_a_folder_for_a_file_is_told(tmp_path: Path) -> None:
    """A folder called course.yml is no course."""
    (tmp_path / "course.yml").mkdir()
    with pytest.raises(AuthorError, match=r"course\.yml: cannot be read \(Is a directory\)"):
        course.load(tmp_path)


def test_all_mistakes_come_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    """An author mends the whole file after one reading, whichever rule found what."""
    text = GOOD
    for name in ("bad date", "key twice", "unknown runner", "unknown format", "duplicate name", "some workers"):
        old, new, _ = MISTAKES[name]
        text = text.replace(old, new, 1)
    lines = [int(line.split(":")[1]) for line in complaint(tmp_path, text).splitlines()]
    assert lines == [1, 6, 13, 22, 25, 30]


def test_one_place_is_told_once(tmp_path: Path) -> None:
    """A value that fits neither of two types is one mistake, not two."""
    assert len(complaint(tmp_path, GOOD.replace("workers: 2", "workers: 1.5")).splitlines()) == 1


NASTY = st.sampled_from(["", "7", "-1", "1e999", "true", "~", "x", "[]", "[1, {a: b}]", "{}", "{a: 1}", "'", "&a [*a]", "!x", "2026-01-01"])  # fmt: skip


@given(st.integers(0, GOOD.count("\n") - 1), NASTY)
@settings(max_examples=100, deadline=None)
def test_whatever_stands_in_the_file_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: str
) -> None:
    """Any value in any line gives a course or an AuthorError with lines, and nothing else."""
    lines = GOOD.splitlines()
    lines[at] = f"{lines[at].partition(':')[0]}: {value}"
    file = written(tmp_path_factory.mktemp("course"), "\n".join(lines))
    told = ""
    try:
        course.load(file)
    except AuthorError as error:
        told = str(error)
    assert all(line.startswith(f"{file}:") for line in told.splitlines())


# ---------------------------------------------------------------------------------------- this course


def test_the_committed_schema_is_up_to_date() -> None:
    """docs/course.schema.json is what the keys give; `make schema` writes it."""
    printed = subprocess.run(
        [sys.executable, "-m", "torchdojo.course"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert (ROOT / "docs/course.schema.json").read_text() == printed


def test_course_yml_names_its_schema_and_fits_it() -> None:
    """Editors complete course.yml from the schema that its first line names, and find nothing wrong in it."""
    text = (ROOT / "course.yml").read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=docs/course.schema.json"
    jsonschema.validate(YAML(typ="safe").load(text), json.loads((ROOT / "docs/course.schema.json").read_text()))


def test_the_course_of_this_repository_is_right() -> None:
    """Each assignment has the points and the section that the outline gives it."""
    points = {"01-graphs": 10, "02-environment": 10, "03-tensors": 12, "04-autograd": 14, "05-modules": 14,
              "06-broadcasting": 12, "07-data": 14, "08-training": 16, "09-mnist": 20}  # fmt: skip
    for assignment in course.load(ROOT).assignments:
        assert assignment.points == points[assignment.name]
        assert assignment.section == f"1.{int(assignment.name[:2])}"


def test_importing_the_course_is_quick() -> None:
    """Every command pays for this import: no torch, no nbgrader, no pydantic, under 0.3 s."""
    script = "import sys, time, torchdojo.course; print(time.process_time(), *sys.modules)"
    best = 60.0
    for _ in range(3):
        seconds, *modules = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()
        assert not {"torch", "nbgrader", "nbformat", "pydantic"} & set(modules)
        best = min(best, float(seconds))
    assert best < 0.3
