"""Talks by TCP to a program on this machine."""

SHOWS = "mark"
STOPPED_BY = "a network namespace"
CELL = """
import socket

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
    one.settimeout(5)
    one.connect(("127.0.0.1", @tcp@))
    one.send("@mark@"[::-1].encode())
"""
