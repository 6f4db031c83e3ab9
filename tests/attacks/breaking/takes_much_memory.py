"""Takes 1.4 GiB of memory."""

SHOWS = "mark"
CELL = """
held = bytearray(b"x") * (1400 << 20)
print("@mark@"[::-1])
del held
"""
