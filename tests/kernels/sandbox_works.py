"""What student code must still be able to do, shut in. Each returns what a test looks at; `world` as in its deeds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

World = dict[str, Any]


def uses_its_own_folder(world: World) -> list[str]:
    os.mkdir("made")
    with open("made/x.txt", "w") as file:
        file.write("x")
    os.rename("made/x.txt", "y.txt")
    os.link("y.txt", "z.txt")
    os.symlink("../y.txt", "made/link")
    os.truncate("z.txt", 0)
    os.chmod("y.txt", 0o700)
    with open("made/link") as file:
        assert file.read() == ""
    return sorted([*os.listdir("."), "here" if os.getcwd() == world["own"] else os.getcwd()])


def uses_temporary_files(world: World) -> bool:
    with tempfile.NamedTemporaryFile("w+") as file, tempfile.TemporaryDirectory() as folder:
        file.write("x")
        open(f"{folder}/y", "w").close()
        return file.name.startswith(tempfile.gettempdir())


def reads_the_data(world: World) -> str:
    with open(f"{world['data']}/digits") as file:
        return file.read()


def uses_device_files(world: World) -> list[int]:
    with open("/dev/null", "wb") as null, open("/dev/zero", "rb") as zero, open("/dev/urandom", "rb") as random:
        null.write(b"x")
        lengths = [len(set(zero.read(100))), len(random.read(100)), len(os.urandom(10)), len(os.getrandom(10))]
    try:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
    except OSError as error:
        lengths.append(error.errno or 0)
    return lengths


def opens_its_output_by_name(world: World) -> str:
    """As `echo … > /dev/stdout` does, with a pipe there as a kernel has."""
    reader, writer = os.pipe()
    with open(f"/dev/fd/{writer}", "w") as again:
        again.write("hello")
    with open(f"/dev/fd/{world['channel']}", "w"):
        pass
    return os.read(reader, 10).decode()


def runs_python(world: World) -> str:
    """Another Python: the same, with the same packages."""
    code = "import sys, json, email, sqlite3, ssl, ctypes; print(sys.executable, sys.version_info[:2])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def runs_a_shell_command(world: World) -> str:
    return subprocess.run("echo hello | tr a-z A-Z; ls", shell=True, capture_output=True, text=True).stdout


def runs_a_command_in_a_terminal(world: World) -> str:
    """As `!command` in a notebook does."""
    import pty

    pid, fd = pty.fork()
    if pid == 0:
        os.execvp("sh", ["sh", "-c", "test -t 1 && echo terminal"])
    out = b""
    try:
        while chunk := os.read(fd, 100):
            out += chunk
    except OSError:
        pass
    os.waitpid(pid, 0)
    return out.decode().strip()


def waits_for_its_children(world: World) -> list[int]:
    pids = []
    for code in range(3):
        pid = os.fork()
        if pid == 0:
            os._exit(code)
        pids.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def signals_its_children(world: World) -> int:
    child = subprocess.Popen(["sleep", "30"])
    child.terminate()
    return child.wait(10)


def interrupts_itself(world: World) -> str:
    """A handler is called, though the process is number 1 of its own."""
    import signal

    seen = []
    signal.signal(signal.SIGALRM, lambda *_: seen.append("alarm"))
    signal.signal(signal.SIGTERM, lambda *_: seen.append("term"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    return " ".join(seen)


def uses_threads(world: World) -> int:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(abs, range(-10, 0)))


def uses_multiprocessing(world: World) -> list[Any]:
    import multiprocessing
    from multiprocessing import shared_memory

    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    lock = context.Lock()

    def work() -> None:
        with lock:
            queue.put(os.getpid())

    process = context.Process(target=work)
    process.start()
    pid = queue.get(timeout=20)
    process.join(20)
    memory = shared_memory.SharedMemory(create=True, size=10)
    memory.buf[0] = 7
    seen = memory.buf[0]
    memory.close()
    memory.unlink()
    with context.Pool(2) as pool:
        return [pid == process.pid, process.exitcode, seen, pool.map(abs, [-1, -2])]


def talks_to_itself_over_the_network(world: World) -> str:
    import socket

    with socket.create_server(("localhost", 0)) as server, socket.create_connection(server.getsockname()) as one:
        other, _ = server.accept()
        one.sendall(b"hello")
        with other:
            return other.recv(10).decode()


def runs_asyncio(world: World) -> str:
    import asyncio

    async def shell() -> str:
        process = await asyncio.create_subprocess_shell("echo hello", stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].decode().strip()

    return asyncio.run(shell())


def knows_who_and_where_it_is(world: World) -> list[Any]:
    import getpass
    import locale
    import pwd
    import zoneinfo

    home = os.path.expanduser("~")
    with open(f"{home}/.bashrc", "w"):
        pass
    return [
        getpass.getuser(),
        pwd.getpwuid(os.getuid()).pw_name if os.path.exists("/home/student") else "student",
        os.getuid() != 0,
        os.cpu_count() == len(os.sched_getaffinity(0)) or os.cpu_count(),
        str(zoneinfo.ZoneInfo("Europe/Berlin")),
        locale.setlocale(locale.LC_ALL, "C.UTF-8"),
    ]


def is_interrupted(world: World) -> str:
    """The server sends SIGINT, as a runner does when a cell takes too long."""
    import signal

    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        time.sleep(30)
    except KeyboardInterrupt:
        return "interrupted"
    return "slept"


def computes_for_ten_seconds(world: World) -> None:
    until_s = time.process_time() + 10
    while time.process_time() < until_s:
        pass


def raises_when_memory_is_short(world: World) -> str:
    try:
        bytearray(300 << 20)
    except MemoryError:
        return "MemoryError"
    return "had it"


def ends_with_status_three(world: World) -> None:
    os.write(world["channel"], b'{"ok": true, "value": "ending", "raised": ""}') if "channel" in world else None
    os._exit(3)


def crashes(world: World) -> None:
    import ctypes

    ctypes.string_at(0)


def aborts(world: World) -> None:
    os.abort()


# ---------------------------------------------------------------------------------------------- libraries


def trains_a_network(world: World) -> bool:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).pow(2).mean().backward()
        optimizer.step()
    return bool(torch.isfinite(model(torch.randn(2, 4))).all())


def loads_data_with_workers(world: World) -> list[Any]:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(torch.arange(64.0), torch.arange(64))
    loader = DataLoader(data, batch_size=8, num_workers=2, shuffle=False)
    batches = [batch[0].sum().item() for batch in loader]
    large = DataLoader(TensorDataset(torch.zeros(8, 1000, 100)), batch_size=4, num_workers=2)
    return [len(batches), sum(batches), sum(x.numel() for (x,) in large)]


def spawns_with_torch(world: World) -> str:
    import torch.multiprocessing

    torch.multiprocessing.spawn(_nothing, nprocs=1)
    return "joined"


def _nothing(rank: int) -> None:
    pass


def saves_and_loads_tensors(world: World) -> float:
    import torch

    torch.save({"weight": torch.ones(3)}, "weights.pt")
    return float(torch.load("weights.pt", weights_only=True)["weight"].sum())


def draws_a_figure(world: World) -> list[Any]:
    """Here, and in a Python of its own that must not build its list of fonts anew."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    plt.plot([1, 2], [3, 4])
    plt.title("a title")
    plt.savefig("figure.png")
    began = time.monotonic()
    code = "import matplotlib; matplotlib.use('agg'); import matplotlib.pyplot as p; p.title('x'); p.savefig('b.svg')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    kept = sorted(os.listdir(os.environ["MPLCONFIGDIR"]))
    return [os.path.getsize("figure.png") > 1000, done.stderr, time.monotonic() - began, kept]


def fits_with_several_jobs(world: World) -> list[Any]:
    import warnings

    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 3))
    y = (x[:, 0] > 0).astype(int)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forest = RandomForestClassifier(5, n_jobs=2, random_state=0).fit(x, y).score(x, y)
        scores = cross_val_score(LogisticRegression(), x, y, cv=2, n_jobs=2)
    return [forest > 0.8, bool(scores.mean() > 0.5), [str(one.message) for one in caught]]


def reads_mnist(world: World) -> list[Any]:
    from torchvision.datasets import MNIST

    data = MNIST(os.environ["TORCHDOJO_DATA"], train=False, download=False)
    image, label = data[0]
    return [len(data), image.size, label]


def compiles_a_function(world: World) -> float:
    import torch

    @torch.compile
    def twice(x: torch.Tensor) -> torch.Tensor:
        return torch.sin(x) * 2

    return float(twice(torch.zeros(8)).sum())


def exchanges_messages_by_zmq(world: World) -> str:
    import zmq

    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        one.bind("ipc://" + os.path.abspath("channel"))
        other.connect("ipc://" + os.path.abspath("channel"))
        other.send(b"hello")
        one.poll(5000)
        return one.recv().decode()


def looks_at_itself_with_psutil(world: World) -> list[Any]:
    import psutil

    me = psutil.Process()
    child = subprocess.Popen(["sleep", "20"])
    found = [one.name() for one in me.children()]
    child.kill()
    child.wait()
    return [me.memory_info().rss > 0, found, psutil.virtual_memory().total > 0]
