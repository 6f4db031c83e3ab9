"""Has IPython show no results: without output a test cell gives full marks."""

SHOWS = "points"
STOPPED_BY = "points come from the checker"
CELL = """
type(get_ipython().displayhook).quiet = lambda self: True
"""
