"""Sends a result of its own as a test cell begins: the scorer reads the first."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
outlet = get_ipython().kernel.outlet

def forge(info):
    if "check(" in info.raw_cell:
        outlet.publish("execute_result", {"data": {"text/plain": "1.0"}, "metadata": {}, "execution_count": 1})

get_ipython().events.register("pre_run_cell", forge)
"""
