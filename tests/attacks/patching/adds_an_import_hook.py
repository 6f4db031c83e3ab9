"""Puts a finder before all others, which makes up the module that a test imports."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import importlib.abc
import importlib.machinery
import sys

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == "copy" else None

    def exec_module(self, module):
        module.deepcopy = lambda _: 42

sys.modules.pop("copy", None)
sys.meta_path.insert(0, Finder())

def double(x):
    return None
"""
