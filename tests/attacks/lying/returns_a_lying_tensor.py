"""Gives back a tensor whose class answers torch's functions itself."""

SHOWS = "points"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
CELL = """
class Tensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, arguments=(), named=None):
        return True

def double(x):
    return torch.zeros(2).as_subclass(Tensor)
"""
