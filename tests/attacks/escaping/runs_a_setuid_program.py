"""Runs su, which runs as root for everybody."""

SHOWS = "mark"
STOPPED_BY = "no_new_privs; nosuid mounts"
NEEDS = "root"
CELL = """
import subprocess

done = subprocess.run(["su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
if done.stdout.strip() == "0":
    print("@mark@"[::-1])
"""
