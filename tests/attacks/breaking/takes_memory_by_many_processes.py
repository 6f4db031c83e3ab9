"""Takes 1.4 GiB of memory, 350 MiB in each of four processes."""

SHOWS = "mark"
STOPPED_BY = "a watch over the memory of the whole job (memory_mib)"
CELL = """
import multiprocessing
import time

def take(queue):
    held = bytearray(b"x") * (350 << 20)
    queue.put(len(held))
    time.sleep(2)

context = multiprocessing.get_context("fork")
queue = context.Queue()
children = [context.Process(target=take, args=(queue,), daemon=True) for _ in range(4)]
for child in children:
    child.start()
for child in children:
    queue.get()
time.sleep(1)
print("@mark@"[::-1])
"""
