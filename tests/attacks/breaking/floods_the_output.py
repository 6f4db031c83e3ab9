"""Prints 4 MiB."""

SHOWS = "mark"
STOPPED_BY = "a limit on output (output_mib)"
CELL = """
for _ in range(4096):
    print("x" * 1024, end="")
print("@mark@"[::-1])
"""
