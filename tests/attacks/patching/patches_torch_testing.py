"""Replaces torch.testing.assert_close by a function that asserts nothing."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
torch.testing.assert_close = lambda *_, **__: None

def double(x):
    return None
"""
