"""Gives back an array whose class answers NumPy's functions itself."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
CELL = """
class Array(np.ndarray):
    def __array_ufunc__(self, ufunc, method, *inputs, **named):
        return np.bool_(True)

    def __array_function__(self, function, types, arguments, named):
        return np.bool_(True)

    def __eq__(self, other):
        return True

def double(x):
    return np.zeros(2).view(Array)
"""
