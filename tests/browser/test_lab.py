"""The released notebooks as a student sees them: real JupyterLab, real Chromium, cells run, tables read.

With TORCHDOJO_PICTURES=docs/pictures the photographs for the README are written there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import ROOT
from torchdojo.course import load
from torchdojo.notebook import read
from torchdojo.rehearsal.pupils import reference

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
COURSE = load(ROOT)


def write_submission(folder: Path, name: str, wrong: str) -> int:
    """The released notebook, its first exercise solved, its second with the wrong idea `wrong`, the rest untouched."""
    assignment = COURSE.assignment(name)
    node = nbformat.read(ROOT / "release" / name / f"{assignment.notebook}.ipynb", as_version=4)
    cells = {(cell.metadata.get("nbgrader") or {}).get("grade_id"): cell for cell in node.cells}
    right, other, *_ = read(COURSE.source_notebook(assignment)).exercises
    for source, place in zip(reference(right).sources, right.solution_cells, strict=True):
        cells[place.grade_id].source = source
    idea = next(v for v in other.misconceptions if v.key == wrong) if wrong else other.misconceptions[0]
    cells[other.solution_cells[0].grade_id].source = idea.source
    nbformat.write(node, folder / f"{name}.ipynb")
    return len(read(COURSE.source_notebook(assignment)).exercises)


def run_all(page: Page, address: str, name: str, tables: int) -> None:
    """Open the notebook, run all its cells, wait for the tables."""
    page.goto(f"{address}/lab/tree/{name}.ipynb", wait_until="domcontentloaded")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=120_000)
    page.locator(".jp-NotebookPanel-toolbar").first.wait_for(timeout=60_000)
    page.get_by_text("(ipykernel) | Idle").first.wait_for(timeout=120_000)  # connected: cells run before that are lost
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.locator('[data-command="runmenu:run-all"]').first.click()
    page.wait_for_function(
        "count => document.querySelectorAll('.torchdojo-check').length >= count", arg=tables, timeout=420_000
    )


def photograph(page: Page, file: str, tmp_path: Path) -> bytes:
    """A picture of the first two tables; kept where TORCHDOJO_PICTURES says."""
    folder = Path(os.environ.get("TORCHDOJO_PICTURES", tmp_path))
    folder.mkdir(exist_ok=True)
    tables = page.locator(".torchdojo-check")
    for number in (0, 1):
        tables.nth(number).scroll_into_view_if_needed()
        tables.nth(number).screenshot(path=folder / f"{file}-{number + 1}.png")
    return (folder / f"{file}-1.png").read_bytes()


@pytest.mark.parametrize(
    ("name", "theme"),
    [("05-modules", "JupyterLab Light"), ("05-modules", "JupyterLab Dark"), ("09-mnist", "JupyterLab Light")],
)
def test_cells_run_and_tables_show(
    name: str, theme: str, browser: Browser, lab: Callable[..., str], tmp_path: Path
) -> None:
    """Run from top to bottom in JupyterLab: a passing table, a failing one, and the rest not attempted."""
    folder = tmp_path / "home"
    folder.mkdir()
    count = write_submission(folder, name, "")
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, device_scale_factor=2)
    run_all(page, lab(folder, theme), name, count)
    texts = [table.inner_text() for table in page.locator(".torchdojo-check").all()]
    assert "passed ·" in texts[0]
    assert "not yet right" not in texts[0]
    assert "not yet right" in texts[1] or "your code raised" in texts[1]
    assert "not attempted yet" in texts[-1]
    assert (
        page.locator("body[data-jp-theme-light]").get_attribute("data-jp-theme-light") == str("Light" in theme).lower()
    )
    assert photograph(page, f"{name}-{theme.rpartition(' ')[2].lower()}", tmp_path)
    page.close()
