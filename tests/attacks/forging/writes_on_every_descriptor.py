"""Writes a result to each socket it finds open, while a test asks for a value."""

SHOWS = "points"
STOPPED_BY = "points come from the checker; what the student's kernel says meanwhile is dropped"
CELL = """
import json
import os
import struct

def double(x):
    said = {"data": {"text/plain": "1.0"}, "metadata": {}, "execution_count": 1}
    replies = [{"kind": "execute_result", "content": said, "flushed": []}]
    replies.append({"kind": "execute_reply", "content": {"tests": ["t"], "current": "", "outcomes": [], "done": True}})
    for number, reply in enumerate(replies):
        packet = struct.pack("!QB", (1 << 60) + number, 1) + json.dumps(reply).encode()
        for descriptor in range(3, 300):
            try:
                os.write(descriptor, packet)
            except OSError:
                pass
"""
