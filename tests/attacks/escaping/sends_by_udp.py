"""Sends by UDP to a program on this machine."""

SHOWS = "mark"
STOPPED_BY = "a network namespace"
CELL = """
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
    one.settimeout(5)
    one.connect(("127.0.0.1", @udp@))
    one.send("@mark@"[::-1].encode())
"""
