"""A kernel forked from a warm parent is as good as new, and the parent stays fit to fork."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest
from conftest import notebook, text

from torchdojo.errors import OursError
from torchdojo.kernels.execute import Runner, execute
from torchdojo.kernels.job import Job, Result
from torchdojo.kernels.warm import Zygote, ZygoteDied

Run = Callable[..., Result]
DRAW = "import random, numpy\nrandom.random(), numpy.random.rand()"


def value(result: Result, index: int = 0) -> object:
    """The value a cell shows, if it is a literal."""
    return ast.literal_eval(text(result, index))


def test_random_numbers_start_from_the_seed(run: Run) -> None:
    """Two jobs with one seed draw the same numbers, with another seed others."""
    assert text(run(DRAW), 0) == text(run(DRAW), 0) != text(run(DRAW, seed=1), 0)


def test_sets_have_one_order_in_every_zygote() -> None:
    """What depends on the order of a set of strings comes out the same in another zygote."""
    found = set()
    for _ in range(2):
        runner = Runner()
        found.add(text(runner.execute(Job("j", notebook("list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})"))), 0))
        runner.close()
    assert len(found) == 1


def test_each_job_has_its_own_folders(run: Run) -> None:
    """Working folder, temporary folder and home are the job's own, and gone afterwards."""
    cell = "import os, tempfile\nos.getcwd(), tempfile.mkdtemp(), os.path.expanduser('~'), os.listdir()"
    first, second = value(run(cell)), value(run(cell))
    assert first[0] != second[0]
    for path in (*first[:3], *second[:3]):
        assert not os.path.exists(path)


def test_files_lie_beside_the_notebook(run: Run) -> None:
    """A job's files are in its working folder, also below it, and a module among them can be imported."""
    files = (("data/a.csv", b"1,2"), ("helper.py", b"x = 7"))
    result = run("import helper\nhelper.x, open('data/a.csv').read()", files=files)
    assert value(result) == (7, "1,2")


@pytest.mark.parametrize("name", ["../out", "/tmp/out", ""])
def test_files_stay_in_the_folder(run: Run, name: str) -> None:
    """A file that would lie elsewhere is refused."""
    assert "beside its notebook" in run("1", files=((name, b""),)).sentence


def test_nothing_of_a_job_is_in_the_next(run: Run) -> None:
    """Names, modules, history and environment of a job are not seen by the next."""
    run("import os, sys, wave\nos.environ['LEFT'] = sys.left = leftover = 'x'\nleftover")
    result = run(
        "import os, sys\n'leftover' in globals(), 'wave' in sys.modules, hasattr(sys, 'left'), os.getenv('LEFT')"
    )
    assert value(result) == (False, False, False, None)
    assert value(run("len(In), len(Out)")) == (2, 0)


def test_the_environment_holds_no_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel sees what the course gives it, and little of the runner's environment."""
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    runner = Runner()
    cell = "import os\nos.environ.get('SECRET_TOKEN'), os.environ['GIVEN'], os.environ['OMP_NUM_THREADS'], os.getppid()"
    read = "b'SECRET' in open(f'/proc/{os.getppid()}/environ', 'rb').read()"
    job = Job("j", notebook(cell, read), environment=(("GIVEN", "yes"),), threads=2)
    result = runner.execute(job)
    runner.close()
    assert value(result)[:3] == (None, "yes", "2")
    assert value(result, 1) is False


def test_a_kernel_starts_with_one_thread(run: Run) -> None:
    """Nothing runs beside the cell: no thread of ipykernel's, and no descriptor of the zygote's."""
    assert value(run("import os\nlen(os.listdir('/proc/self/task'))")) == 1
    listed = run(
        "import os\nnumbers = os.listdir('/proc/self/fd')", "print(*map(os.path.realpath, os.scandir('/proc/self/fd')))"
    )
    assert "torchdojo-zygote" not in text(listed, 1)


def test_warnings_are_shown_as_in_a_new_process(run: Run) -> None:
    """A warning that was raised while modules were imported ahead is not used up, and filters are Python's own."""
    result = run("import warnings\nwarnings.warn('one')\nprint(len(warnings.filters) > 3)")
    assert "UserWarning: one" in text(result, 0)


def test_a_cpu_job_sees_no_gpu(run: Run) -> None:
    """On a machine with GPUs, a job of device cpu finds none."""
    assert value(run("import os\nos.environ['CUDA_VISIBLE_DEVICES']")) == ""


def test_a_zygote_imports_what_a_job_asks_for(runner: Runner) -> None:
    """A job that needs more modules gets a zygote that has them; what cannot be imported is no fault."""
    cell = "import sys\n'wave' in sys.modules"
    own = Runner()
    assert value(own.execute(Job("j", notebook(cell)))) is False
    assert value(own.execute(Job("j", notebook(cell), preload=("wave", "no_such_module")))) is True
    assert own._zygote is not None
    assert own._zygote.missing == ("no_such_module",)
    own.close()


def test_branches_share_a_stem_and_end_with_it() -> None:
    """A branch forks kernels by itself; when the stem ends, its branches do."""
    stem = Zygote.start(["wave"])
    branches = [stem.branch(), stem.branch()]
    runner = Runner(new_zygote=lambda modules: branches[0])
    assert value(runner.execute(Job("j", notebook("import sys\n'wave' in sys.modules")))) is True
    stem.close()
    assert all(_gone(branch.pid) for branch in branches)
    with pytest.raises(ZygoteDied):
        branches[1].end()
    for branch in branches:
        branch.close()


def test_a_zygote_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process ends before it is ready, its last words are in the error."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(OursError, match="did not start"):
        Zygote.start()


def test_execute_needs_no_runner() -> None:
    """`execute` is a function of a job; it keeps its warm parent for the next call, and a fork makes its own."""
    program = f"""
import os, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
from conftest import notebook, text
from torchdojo.kernels import execute as module
from torchdojo.kernels.job import Job
job = Job("j", notebook("import os; os.getppid()"))
print(*(text(module.execute(job), 0) for _ in range(2)), flush=True)
if os.fork() == 0:
    print(text(module.execute(job), 0), flush=True)
    os._exit(0)
os.wait()
print(text(module.execute(job), 0))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    first, again, forked, last = done.stdout.split()
    assert first == again == last != forked


def test_results_pickle(run: Run) -> None:
    """A job and its result cross to another process."""
    import pickle

    result = run("1 + 1", "1 / 0")
    assert pickle.loads(pickle.dumps(result)) == result
    job = Job("j", notebook("1"))
    assert pickle.loads(pickle.dumps(job)) == job


def test_execute_runs_in_a_process_pool() -> None:
    """`submit(execute, job)` works with the standard library's pool of processes."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert text(pool.submit(execute, Job("j", notebook("1 + 1"))).result(60), 0) == "2"


def _gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not psutil.pid_exists(pid)
