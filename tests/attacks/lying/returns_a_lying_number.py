"""Gives back a float that compares, subtracts and rounds as it likes."""

SHOWS = "points"
CELL = """
class Number(float):
    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0.0

    __rsub__ = __sub__

def double(x):
    return Number(0.0)
"""
