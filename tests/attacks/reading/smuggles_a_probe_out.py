"""Says in hexadecimal what it saw of a hidden test's probe."""

SHOWS = "canary"
STOPPED_BY = "nothing, see below"
OPEN = "a probe runs in the student's process, and what is encoded cannot be told from a message"
CELLS = {
    "double": """
import sys

def double(x):
    texts = [text for text in sys._getframe(1).f_code.co_consts if isinstance(text, str)]
    raise ValueError([text.encode().hex() for text in texts])
""",
}
