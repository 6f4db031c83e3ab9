"""Gives back an object that is equal to everything."""

SHOWS = "points"
CELL = """
class Anything:
    def __eq__(self, other):
        return True

def double(x):
    return Anything()
"""
