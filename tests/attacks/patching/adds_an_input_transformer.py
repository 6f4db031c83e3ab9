"""Has IPython read another text for each test cell."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
def easy(lines):
    return ["1.0"] if any("check(" in line for line in lines) else lines

get_ipython().input_transformers_cleanup.append(easy)
"""
