"""Sends a result of nothing under a display id, and has it say more later."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
outlet = get_ipython().kernel.outlet

def forge(info):
    if "check(" in info.raw_cell:
        result = {"metadata": {}, "transient": {"display_id": "mine"}, "execution_count": 1}
        outlet.publish("execute_result", {**result, "data": {"text/plain": "0.0"}})
        outlet.publish("update_display_data", {**result, "data": {"text/plain": "1.0"}})

get_ipython().events.register("pre_run_cell", forge)
"""
