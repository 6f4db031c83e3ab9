"""The course page as people see it: real Chromium, light and dark, wide and on a phone, by keyboard, without network.

With TORCHDOJO_PICTURES=folder the photographs are written there.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PAGES = (
    "index.html",
    "assignments/05-modules.html",
    "tests/05-modules.html",
    "zh/misconceptions/05-modules.html",
)
# Of Material's own markup: its search is a dialog without a name, its drawer has two menus of one name.
MATERIALS_OWN = ("aria-dialog-name", "landmark-unique")


class Quiet(SimpleHTTPRequestHandler):
    """A web server that says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(real_site: Path) -> Iterator[str]:
    """The course page, served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(real_site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """A tab that fails the test when a page asks for anything but itself."""
    tab = browser.new_page()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    yield tab
    tab.close()
    assert [url for url in asked if not url.startswith((address, "data:"))] == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_are_accessible(page: Page, address: str, scheme: str, width: int, tmp_path: Path) -> None:
    """axe finds nothing, in both themes; nothing is wider than the window, be it a phone's."""
    folder = Path(os.environ.get("TORCHDOJO_PICTURES", tmp_path))
    folder.mkdir(exist_ok=True)
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 844})
    for path in PAGES:
        page.goto(f"{address}/{path}")
        page.wait_for_load_state("networkidle")
        dark = page.locator("body").get_attribute("data-md-color-scheme") == "slate"
        assert dark == (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        page.screenshot(path=folder / f"site-{path.replace('/', '-')}-{scheme}-{width}.png")
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]})
        told = [
            (each["id"], [(node["target"], node["html"][:120]) for node in each["nodes"][:3]])
            for each in found.response["violations"]
            if each["id"] not in MATERIALS_OWN
        ]
        assert told == [], path


def test_the_table_keeps_its_headings(page: Page, address: str) -> None:
    """Scrolled by keyboard, down and to the right, the head of the table and the misconceptions stay in sight."""
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{address}/tests/05-modules.html")
    table = page.locator(".td-tall").nth(1)
    table.scroll_into_view_if_needed()
    table.focus()
    before = table.bounding_box()
    for key in (*["ArrowDown"] * 6, *["ArrowRight"] * 6):
        page.keyboard.press(key)
    page.wait_for_timeout(600)
    assert table.evaluate("each => each.scrollTop > 50 && each.scrollLeft > 50")
    head = table.locator("thead th").last.bounding_box()
    assert before is not None
    assert head is not None
    box = table.bounding_box()
    assert box is not None
    assert abs(head["y"] - box["y"]) < 5
    row = table.locator("tbody th").last.bounding_box()
    assert row is not None
    assert abs(row["x"] - box["x"]) < 5


def test_the_language_link_leads_to_the_same_page(page: Page, address: str) -> None:
    """From a Chinese page to the same one in English, and back."""
    page.goto(f"{address}/zh/misconceptions/05-modules.html")
    page.get_by_role("link", name="English", exact=True).click()
    page.wait_for_url(f"{address}/misconceptions/05-modules.html")
    page.get_by_role("link", name="中文", exact=True).click()
    page.wait_for_url(f"{address}/zh/misconceptions/05-modules.html")


@pytest.mark.parametrize(("site", "word", "title"), [("", "xavier", "Modules"), ("zh/", "初始化", "模块")])
def test_search(page: Page, address: str, site: str, word: str, title: str) -> None:
    """A word is found, in Chinese too, and leads to a page of the same language."""
    page.set_viewport_size({"width": 1280, "height": 844})
    page.goto(f"{address}/{site}index.html")
    page.locator(".md-search__input").click()
    told = "document.querySelector('.md-search-result__meta').textContent"  # what is typed before it is ready is lost
    page.wait_for_function(f"!/Initializing|正在初始化/.test({told})")
    page.locator(".md-search__input").fill(word)
    page.keyboard.press("End")  # Material looks at each key that comes up, and not at what is pasted
    first = page.locator(".md-search-result__link").first
    first.wait_for(timeout=30_000)
    assert title in page.locator(".md-search-result__list").inner_text()
    assert f"/{site}" in (first.get_attribute("href") or "")
