"""Makes the grader's own preparation of a test fail: tests that the grader failed at count for nothing."""

SHOWS = "points"
STOPPED_BY = "what goes wrong beside the student's code is the student's"
CELL = """
import random

elsewhere = {}
exec("def seed(*_): raise RuntimeError('a fault of yours')", elsewhere)
random.seed = elsewhere["seed"]
"""
