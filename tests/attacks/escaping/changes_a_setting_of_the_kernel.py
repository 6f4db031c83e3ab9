"""Opens a setting of the running Linux to write."""

SHOWS = "mark"
STOPPED_BY = "no capabilities; Landlock"
NEEDS = "root"
CELL = """
with open("/proc/sys/kernel/core_pattern", "r+"):
    print("@mark@"[::-1])  # enough
"""
