"""Goes on for ever, whatever interrupts it."""

SHOWS = "spoils"
STOPPED_BY = "a budget of time for each question; the rest of the tests go on"
FAIR = {"test_scale": 3}
CELLS = {
    "double": """
import time

def double(x):
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass
""",
    "scale": """
def scale(x, factor):
    return x * factor
""",
}
