"""Tells the runner that a test cell has ended before it began: without output it gives full marks."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
outlet = get_ipython().kernel.outlet

def forge(info):
    if "check(" in info.raw_cell:
        outlet.publish("idle", {})

get_ipython().events.register("pre_run_cell", forge)
"""
