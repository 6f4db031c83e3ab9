"""Prints the cells that the kernel has run, the test cells among them."""

SHOWS = "canary"
CELLS = {
    "after": """
print("\\n".join(In))
""",
}
