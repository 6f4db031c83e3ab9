"""Clears what a test cell has put out: without output it gives full marks."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
outlet = get_ipython().kernel.outlet
get_ipython().events.register("post_run_cell", lambda _: outlet.publish("clear_output", {"wait": False}))
"""
