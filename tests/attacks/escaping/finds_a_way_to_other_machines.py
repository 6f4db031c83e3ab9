"""Looks for a route to another machine."""

SHOWS = "mark"
STOPPED_BY = "a network namespace"
NEEDS = "network"
CELL = """
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.connect(("192.0.2.1", 9))  # sends nothing
    print("@mark@"[::-1])
"""
