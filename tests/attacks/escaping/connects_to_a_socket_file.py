"""Talks to a program through a socket in the file system, as Docker has one."""

SHOWS = "mark"
STOPPED_BY = "a root folder of its own: it is not there"
CELL = """
import socket

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
    one.settimeout(5)
    one.connect("@unix@")
    one.send("@mark@"[::-1].encode())
"""
