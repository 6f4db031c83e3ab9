"""Gives back an object that is equal to everything."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
CELL = """
class Anything:
    def __eq__(self, other):
        return True

def double(x):
    return Anything()
"""
