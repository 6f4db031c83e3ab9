"""What in a page of HTML acts, loads or leads away, as a parser finds it; and pages that nbgrader makes."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

from nbgrader.apps import GenerateFeedbackApp


def words(text: str) -> list[str]:
    return text.split()


ACTIVE = words(
    "applet audio base button embed form frame frameset iframe input link math meta noscript object param plaintext "
    "portal script select source style svg template textarea track video xmp"
)
LOADS = words(
    "action background cite code codebase data formaction href longdesc manifest ping poster profile src srcdoc srcset "
    "usemap xlink:href"
)
LEADS = re.compile(r"[\x00-\x20]*(?:[a-z][a-z0-9+.-]*:|//|\\)", re.IGNORECASE)
IN_STYLE = re.compile(r"url|expression|import|image|\\", re.IGNORECASE)
PICTURE = re.compile(r"data:image/(?:png|jpeg|gif|svg\+xml);base64,[A-Za-z0-9+/=\n]*")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ACTIVE:
            self.found[f"<{tag}>"] += 1
        for name, value in attrs:
            text = value or ""
            if name.startswith("on"):
                self.found[f"{tag} {name}"] += 1
            elif "script:" in re.sub(r"[\x00-\x20]", "", text).lower() or (
                name in LOADS and LEADS.search(text) and not (tag == "img" and PICTURE.fullmatch(text))
            ):
                self.found[f"{tag} {name}={text[:80]}"] += 1

    handle_startendtag = handle_starttag

    def unknown_decl(self, data: str) -> None:
        self.found["<![" + data[:20]] += 1

    def handle_pi(self, data: str) -> None:
        self.found["<?" + data[:20]] += 1


def dangers(page: str) -> Counter[str]:
    """How often each thing that acts, loads or leads away is in a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


def feedback(course: Path, assignment: str, student: str = "*") -> dict[str, str]:
    """The pages of `nbgrader generate_feedback`, by student and notebook."""
    GenerateFeedbackApp.clear_instance()
    app = GenerateFeedbackApp()
    with contextlib.chdir(course), contextlib.suppress(SystemExit):
        app.initialize([f"--course-dir={course}", "--log-level=ERROR", "--force", f"--student={student}", assignment])
        app.start()
    pages = (course / "feedback").glob(f"*/{assignment}/*.html")
    return {f"{path.parts[-3]}/{path.stem}": path.read_text(encoding="utf-8") for path in pages}
