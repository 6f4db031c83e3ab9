"""Shows 4 MiB of HTML."""

SHOWS = "mark"
STOPPED_BY = "a limit on output (output_mib)"
CELL = """
from IPython.display import HTML, display

for _ in range(64):
    display(HTML("x" * (64 << 10)))
print("@mark@"[::-1])
"""
