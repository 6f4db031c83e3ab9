"""Gives back a list whose length and items are others each time."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side, once"
CELL = """
class Liar(list):
    looks = 0

    def __len__(self):
        Liar.looks += 1
        return Liar.looks

    def __getitem__(self, key):
        return Liar.looks

    def __iter__(self):
        return iter([])

    def __eq__(self, other):
        return True

def double(x):
    return Liar()
"""
