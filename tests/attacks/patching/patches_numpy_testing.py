"""Replaces numpy.testing.assert_allclose by a function that asserts nothing."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
np.testing.assert_allclose = lambda *_, **__: None

def double(x):
    return None
"""
