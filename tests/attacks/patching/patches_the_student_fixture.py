"""Makes whatever a test asks of the student equal to everything."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
from torchdojo.checks import NamespaceStudent

class Anything:
    def __eq__(self, other):
        return True

NamespaceStudent.__getattr__ = lambda self, name: lambda *_: Anything()
"""
