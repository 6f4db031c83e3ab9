"""Replaces numpy.testing.assert_allclose by a function that asserts nothing."""

SHOWS = "points"
CELL = """
np.testing.assert_allclose = lambda *_, **__: None

def double(x):
    return None
"""
