"""Talks to a program through a socket in the file system, as Docker has one."""

SHOWS = "mark"
CELL = """
import socket

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
    one.settimeout(5)
    one.connect("@unix@")
    one.send("@mark@"[::-1].encode())
"""
