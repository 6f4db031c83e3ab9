"""Has IPython show points where a test cell's result is a number."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
hook = type(get_ipython().displayhook)
real = hook.__call__
hook.__call__ = lambda self, result=None: real(self, 1.0 if isinstance(result, float) else result)
"""
