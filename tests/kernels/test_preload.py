"""What to import ahead is read from cells, whatever else is in them."""

from __future__ import annotations

import sys
import warnings

import pytest

from torchdojo.kernels.preload import modules_in, preload


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import torch\nfrom torch.nn import functional as F", ["torch", "torch.nn"]),
        ("def f():\n    import wave, json", ["wave", "json"]),
        ("%matplotlib inline\nimport torch\n!pip list\nif 1:\n    %time x = 1", ["torch"]),
        ("%%time\nimport torch", ["torch"]),
        ("%load_ext torchdojo.authoring", ["torchdojo.authoring"]),
        ("%%bash\necho 'import no'", []),
        ("from . import x", []),
        ("import torch and", []),
    ],
)
def test_modules_are_found(source: str, names: list[str]) -> None:
    """Imports count wherever they stand; magics beside them do not hide them, and other languages name none."""
    assert modules_in([source]) == names


def test_each_module_is_named_once() -> None:
    """The order is that of the first import."""
    assert modules_in(["import b", "import a, b"]) == ["b", "a"]


def test_what_cannot_be_imported_is_told(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing module is named, a warning while importing is not shown, and filters that a module adds stay."""
    monkeypatch.syspath_prepend(tmp_path)
    source = "import warnings\nwarnings.warn('loud')\nwarnings.filterwarnings('ignore', message='left by noisy_module')"
    (tmp_path / "noisy_module.py").write_text(source)  # type: ignore[operator]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert preload(["noisy_module", "no_such_module"]) == ["no_such_module"]
        assert any(entry[1] and entry[1].match("left by noisy_module") for entry in warnings.filters)
    sys.modules.pop("noisy_module")
