"""Opens a socket that reads all that passes on the network."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no capabilities"
NEEDS = "root"
CELL = """
import socket

socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)).close()
print("@mark@"[::-1])
"""
