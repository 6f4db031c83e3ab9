"""Replaces torch.testing.assert_close by a function that asserts nothing."""

SHOWS = "points"
CELL = """
torch.testing.assert_close = lambda *_, **__: None

def double(x):
    return None
"""
