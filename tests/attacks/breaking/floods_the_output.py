"""Prints 4 MiB."""

SHOWS = "mark"
CELL = """
for _ in range(4096):
    print("x" * 1024, end="")
print("@mark@"[::-1])
"""
