"""Hands in a torchdojo.py, which Python finds before the real one."""

SHOWS = "points"
UNDEFENDED = "nbgrader"
FILES = {"torchdojo.py": "def check(points):\n    return float(points)\n"}
