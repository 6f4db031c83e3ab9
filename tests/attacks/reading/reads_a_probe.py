"""Looks at the constants of a hidden test's probe, which runs beside it, and says them in an error."""

SHOWS = "canary"
STOPPED_BY = "nothing, see below"
OPEN = "a probe runs in the student's process; only whole lines of hidden tests are kept out of messages"
CELLS = {
    "double": """
import sys

def double(x):
    raise ValueError(sys._getframe(1).f_code.co_consts)
""",
}
