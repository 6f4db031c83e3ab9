"""Has pytest's rewriting of assertions drop them."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import ast
import torchdojo.checks.compiled as compiled

class Drop(ast.NodeTransformer):
    def visit_Assert(self, node):
        return ast.Pass()

compiled.rewrite_asserts = lambda tree, *_: ast.fix_missing_locations(Drop().visit(tree))

def double(x):
    return None
"""
