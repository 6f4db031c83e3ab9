"""Has IPython turn each test cell into its points."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import ast

class Easy(ast.NodeTransformer):
    def visit_Module(self, node):
        if "check(" in ast.unparse(node):
            node.body = [ast.Expr(ast.Constant(1.0))]
        return ast.fix_missing_locations(node)

get_ipython().ast_transformers.append(Easy())
"""
