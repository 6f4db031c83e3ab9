"""Replaces pytest.raises by a context that expects nothing."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import contextlib
import pytest

pytest.raises = lambda *_, **__: contextlib.nullcontext()

def double(x):
    return None
"""
