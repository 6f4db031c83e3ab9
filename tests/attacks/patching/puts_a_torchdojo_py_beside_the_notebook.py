"""Hands in a torchdojo.py, which Python finds before the real one."""

SHOWS = "points"
STOPPED_BY = "Python files are dropped unless course.yml lists them; the checker has a folder of its own"
UNDEFENDED = "nbgrader"
FILES = {"torchdojo.py": "def check(points):\n    return float(points)\n"}
