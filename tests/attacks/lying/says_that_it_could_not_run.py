"""Raises what pytest raises to skip a test, as if no learner's line had: tests that did not run count for nothing."""

SHOWS = "points"
STOPPED_BY = "of errors only built-in classes come through"
CELL = """
double = eval("lambda x: __import__('pytest').skip('no GPU')", {})
"""
