"""Opens a comm as an Output widget does, which takes what later cells put out to itself."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
outlet = get_ipython().kernel.outlet
outlet.publish("comm_open", {"comm_id": "c", "data": {"state": {"_model_name": "OutputModel", "outputs": []}}})
outlet.publish("comm_msg", {"comm_id": "c", "data": {"state": {"msg_id": "everything"}}})
"""
