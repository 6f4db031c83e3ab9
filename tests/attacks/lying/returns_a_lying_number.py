"""Gives back a float that compares, subtracts and rounds as it likes."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
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
