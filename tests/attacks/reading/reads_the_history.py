"""Prints the cells that the kernel has run, the test cells among them."""

SHOWS = "canary"
STOPPED_BY = "the tests run in another process, the checker"
CELLS = {
    "after": """
print("\\n".join(In))
""",
}
