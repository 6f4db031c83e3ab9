"""Gives back an object whose copy is another, by __reduce__."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
CELL = """
class Anything:
    def __eq__(self, other):
        return True

class Decoy:
    def __reduce__(self):
        return Anything, ()

def double(x):
    return Decoy()
"""
