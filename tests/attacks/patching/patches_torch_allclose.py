"""Replaces torch.allclose by a function that agrees."""

SHOWS = "points"
CELL = """
torch.allclose = lambda *_, **__: True

def double(x):
    return None
"""
