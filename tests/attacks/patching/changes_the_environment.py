"""Has pytest load a plugin of the student's own, by an environment variable that cannot be taken away."""

SHOWS = "points"
STOPPED_BY = "the checker has an environment of its own"
CELL = """
import os
import pathlib
import sys

pathlib.Path("passes.py").write_text(
    "import pytest\\n@pytest.hookimpl(tryfirst=True)\\ndef pytest_pyfunc_call(pyfuncitem):\\n    return True\\n"
)
sys.path.insert(0, "")
os.environ["PYTEST_ADDOPTS"] = "-p passes"
os.environ.pop = lambda *_: None
"""
