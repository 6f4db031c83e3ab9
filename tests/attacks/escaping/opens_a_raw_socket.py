"""Opens a socket that can send anything in anybody's name."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no capabilities"
NEEDS = "root"
CELL = """
import socket

socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
print("@mark@"[::-1])
"""
