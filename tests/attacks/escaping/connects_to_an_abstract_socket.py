"""Talks to a program through a socket that has no file, as a desktop has them."""

SHOWS = "mark"
STOPPED_BY = "a network namespace"
CELL = """
import socket

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
    one.settimeout(5)
    one.connect("\\0@abstract@")
    one.send("@mark@"[::-1].encode())
"""
