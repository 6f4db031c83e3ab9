"""Takes 1.4 GiB of memory."""

SHOWS = "mark"
STOPPED_BY = "a limit on memory (memory_mib)"
CELL = """
held = bytearray(b"x") * (1400 << 20)
print("@mark@"[::-1])
del held
"""
