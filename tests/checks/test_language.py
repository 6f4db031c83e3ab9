"""A report shown in another language: templates, and what a learner can do to them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from torchdojo.checks import CheckReport, TestOutcome, Verdict
from torchdojo.checks.language import ENGLISH, Language, beside, fits
from torchdojo.checks.table import as_text

CHINESE = Language(
    "zh", {"Twice 3 is 6.": "3 的两倍是 6。", "{x} is not in {y}": "{y} 中没有 {x}", "a set {{1}}": "集合 {{1}}"}
)


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("Twice 3 is 6.", "3 的两倍是 6。"),
        ("7 is not in [1, 2]", "[1, 2] 中没有 7"),
        ("a set {1}", "集合 {1}"),
        ("Waits for: Twice 3 is 6.", "需先通过：3 的两倍是 6。"),
        ("at most tensor of shape (2,), float32: [1, 2]", "不超过 tensor，形状 (2,)，float32: [1, 2]"),
        ("tensor of shape (2, 3), float32", "tensor，形状 (2, 3)，float32"),
        (
            "Mismatched elements: 1 / 4 (25.0%); Greatest absolute difference: 3 at index (1, 0) (up to 1e-05 allowed)",
            "不相符的元素：1/4（25.0%）；最大绝对误差 3，在索引 (1, 0) 处（允许 1e-05）",
        ),
        ("ValueError to be raised", "抛出 ValueError"),
        ("whatever else", "whatever else"),
        ("", ""),
    ],
)
def test_a_text_is_translated_by_the_template_it_was_made_from(text: str, translated: str) -> None:
    """Exact texts, templates, and our own words within a template; anything else stays as it is."""
    assert CHINESE.translate(text) == translated


def test_english_changes_nothing() -> None:
    """The source's language returns the very report."""
    report = CheckReport(1.0, 1.0, (TestOutcome("test_a", "Twice 3 is 6.", Verdict.PASSED),))
    assert ENGLISH.report(report) is report
    assert as_text(report) == "The test passed · 1 of 1 points\n  ✓ Twice 3 is 6."
    assert as_text(report, CHINESE) == "测试通过 · 得分 1/1\n  ✓ 3 的两倍是 6。"


def test_records_stay_english() -> None:
    """What is recorded is the same in every language: a translated report is another one."""
    report = CheckReport(0.0, 1.0, (TestOutcome("test_a", "Twice 3 is 6.", Verdict.WRONG, expected="one of 3"),))
    assert CHINESE.report(report).outcomes[0].expected == "3 之一"
    assert report.outcomes[0].expected == "one of 3"
    assert CHINESE.report(report).fingerprint == report.fingerprint


def test_matching_takes_one_pass() -> None:
    """A learner's text cannot make the search for placeholders slow."""
    language = Language("zh", {"{a}, {b}, {c}, {d}, {e} and {f}!": "{a}{b}{c}{d}{e}{f}"})
    start = time.perf_counter()
    language.translate(", " * 200_000)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("translated", ["{y}", "{x.__class__}", "{x:>9}", "{", "no placeholder"])
def test_a_template_with_other_placeholders_is_not_used(translated: str) -> None:
    """Whoever wrote it: the text stays English."""
    assert not fits("{x} it is", translated)
    assert Language("zh", {"{x} it is": translated}).translate("3 it is") == "3 it is"


def test_the_file_beside_the_notebook_names_the_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that was released, or the environment; anything that is no such file is passed over."""
    monkeypatch.delenv("TORCHDOJO_LANGUAGE", raising=False)
    for number, content in enumerate(["{", "[]", "3", '{"language": "xx"}', '{"language": 3, "messages": {}}']):
        (tmp_path / f"{number}.xx.json").write_text(content)
    (tmp_path / "other.json").write_text('{"language": "fr", "messages": {}}')
    assert beside(tmp_path).code == "en"
    (tmp_path / "05-modules.zh.json").write_text(json.dumps({"language": "zh", "messages": {"a": "甲"}}))
    assert (beside(tmp_path).code, beside(tmp_path).translate("a")) == ("zh", "甲")
    monkeypatch.setenv("TORCHDOJO_LANGUAGE", "en")
    assert beside(tmp_path).translate("a") == "a"
    assert beside(tmp_path).say("passed") == "passed"
