"""A forked kernel puts out what a real one does, driven by nbgrader's Execute (nbclient) over sockets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import notebook
from nbgrader.preprocessors import Execute

from torchdojo.kernels.job import Result

CELLS = {
    "a value": "1 + 1",
    "nothing": "x = 3",
    "two streams": "import sys\nprint('out')\nprint('err', file=sys.stderr)\nprint('out again')",
    "a flush puts a stream first": (
        "print('waits')\nprint('flushed', file=sys.stderr, flush=True)\nprint('more', flush=True)\nprint('end')"
    ),
    "no newline": "print('a', end='')",
    "several values": "'not shown'\n'shown'",
    "history": "_, _1, Out[1], In[1], len(In)",
    "who we are": "get_ipython().__class__.__name__, __name__, sys.argv[1:2], sys.path[0] != ''",
    "a display": "from IPython.display import HTML, Markdown, display, clear_output, Image, JSON\ndisplay(HTML('<b>b</b>'))",
    "a display between prints": "print('one')\ndisplay(Markdown('*two*'))\nprint('three')",
    "json": "display(JSON({'a': [1, {'b': None}], 'c': float(2)}))",
    "metadata": "display({'text/plain': 'p', 'text/html': 'h'}, metadata={'text/html': {'isolated': True}}, raw=True)",
    "a display id": "handle = display('first', display_id='kept')\nprint('between')\nhandle.update('second')",
    "updated from a later cell": "handle.update(HTML('third'))\ndisplay('again', display_id='kept')",
    "cleared": "print('gone')\nclear_output()\nprint('stays')",
    "cleared on the next output": "print('gone')\nclear_output(wait=True)\nprint('stays')",
    "cleared and nothing came": "print('stays')\nclear_output(wait=True)",
    "an error": "1 / 0",
    "an error in a function": "def f(n):\n    if n:\n        return f(n - 1)\n    raise ValueError('deep ünïcode')\n\nf(2)",
    "an error with a cause": "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e",
    "a syntax error": "if True print(1)",
    "an indentation error": "def g():\nreturn 1",
    "an error after output": "print('before')\ndisplay('shown')\nraise RuntimeError('after')",
    "an exit": "sys.exit(3)",
    "an error that cannot be shown": "class Bad(Exception):\n    def __str__(self):\n        raise TypeError('no')\nraise Bad",
    "a result that cannot be shown": "class R:\n    def __repr__(self):\n        raise ValueError('no repr')\nR()",
    "a hidden traceback": "%xmode Minimal\nundefined_name\n",
    "the full traceback again": "%xmode Context",
    "input": "input('name? ')",
    "getpass": "import getpass\ngetpass.getpass()",
    "top-level await": "import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",
    "a running loop": "try:\n    asyncio.run(asyncio.sleep(0))\nexcept RuntimeError as e:\n    print(e)",
    "a task of an earlier cell": "done = []\nasync def later():\n    done.append(1)\ntask = asyncio.ensure_future(later())",
    "it ran meanwhile": "await task\ndone",
    "a shell command": "!echo from a shell",
    "its lines": "lines = !printf 'a\\nb\\n'\nlines",
    "a line magic": "%alias_magic t time",
    "a cell magic": "%%capture caught\nprint('inside')\ndisplay('x')",
    "what it caught": "caught.stdout, len(caught.outputs)",
    "bash": "%%bash\necho out; echo err >&2",
    "writefile": "%%writefile made.py\nvalue = 41",
    "an import from beside the notebook": "from made import value\nvalue + 1",
    "help": "len?",
    "C code and children": (
        "import ctypes, os, subprocess\nlibc = ctypes.CDLL(None)\nprint('python')\nlibc.printf(b'C\\n')\n"
        "libc.fflush(None)\nos.system('echo child')\nsubprocess.run(['sh', '-c', 'echo grandchild >&2'])\nos.write(1, b'raw\\n')"
    ),
    "what goes to the terminal": "subprocess.run(['echo', 'unseen'], stdout=sys.stdout)\nsys.stdout.isatty()",
    "redirected": "import contextlib, io\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    print('in b')\nb.getvalue()",
    "logging": "import logging\nlogging.warning('a warning')\nprint('then')",
    "a warning": "import warnings\nwarnings.warn('careful')",
    "a deprecation": "warnings.warn('old', DeprecationWarning)",
    "a thread": "import threading\nt = threading.Thread(target=print, args=('from a thread',))\nt.start(); t.join()",
    "a display from a thread": "t = threading.Thread(target=display, args=('shown',))\nt.start(); t.join()",
    "pickled": "import pickle\nclass P:\n    pass\ntype(pickle.loads(pickle.dumps(P()))) is P",
    "forked": (
        "import multiprocessing as mp\ndef work(n):\n    print('worker', flush=True)\n    return n * n\n"
        "with mp.get_context('fork').Pool(1) as pool:\n    out = pool.map(work, [3])\nout"
    ),
    "spawned": "with mp.get_context('spawn').Pool(1) as pool:\n    out = pool.map(abs, [-3])\nout",
    "a figure": "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([0, 1]);",
    "two figures and text": "print('text')\nplt.figure()\nplt.figure()\nplt.title('t')\nplt.show()\nprint('after')",
    "a widget": "import ipywidgets as w\ns = w.IntSlider(value=3)\ndisplay(s)\ns.value = 5\ns.value",
    "an output widget": "o = w.Output()\nwith o:\n    print('caught')\n    display('caught too')\nprint('outside')\no",
    "what it holds": "len(o.outputs)",
    "a comm": "import comm\nc = comm.create_comm(target_name='t', data={'a': 1})\nc.send({'b': 2})\nc.close()",
    "next input": "get_ipython().set_next_input('x')",
    "showtraceback turned off": (
        "ip = get_ipython()\nkept = ip._showtraceback\nip._showtraceback = lambda *a: None\nraise OSError('unseen')"
    ),
    "and on": "ip._showtraceback = kept",
    "unicode": "print('ünïcode ✓ 😀')\n'ünïcode ✓ 😀'",
    "bytes that are no text": "os.write(1, b'\\xff\\xfe ok\\n');",
    "assigned streams": "old = sys.stdout\nsys.stdout = io.StringIO()\nprint('lost')\nsys.stdout = old",
    "a big value": "'x' * 300_000",
    "a semicolon": "5;",
    "an array": "import numpy as np\nnp.arange(3)",
    "post-run hooks": "ip.events.register('post_run_cell', lambda r: print('hook'));",
}

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_FILE = re.compile(r"/[^\s:'\"]*?/ipykernel_\d+/\d+\.py|ipykernel_\d+/\d+\.py")
_MODEL = re.compile(r"[0-9a-f]{32}")
_NATIVE_PATH = re.compile(r"File .*?(?=/lib/python)")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, name in ((_ADDRESS, "0x"), (_FILE, "CELL"), (_MODEL, "MODEL"), (_NATIVE_PATH, "File ")):
            value = pattern.sub(name, value)
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _merged(outputs: Any) -> list[Any]:
    """Outputs with neighbouring pieces of a stream put together: where a real kernel cuts them is a matter of time."""
    merged: list[Any] = []
    for output in map(dict, outputs):
        last = merged[-1] if merged else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"]:
            last["text"] += output["text"]
        else:
            merged.append(output)
    return [_plain(output) for output in merged]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, executed as nbgrader does it."""
    node = nbformat.reads(notebook(*CELLS.values()).decode(), as_version=4)
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")  # ipykernel does not watch descriptors 1 and 2 when it is set
        Execute(timeout=120).preprocess(node, {"metadata": {"path": str(folder)}})
    return node


@pytest.fixture(scope="module")
def ours(runner: Any) -> Result:
    """The notebook, executed in a forked kernel."""
    from torchdojo.kernels.job import Job

    job = Job("fidelity", notebook(*CELLS.values()), preload=("matplotlib.pyplot", "ipywidgets"))
    return runner.execute(job)


@pytest.mark.parametrize("index", range(len(CELLS)), ids=list(CELLS))
def test_outputs_are_those_of_a_real_kernel(index: int, real: Any, ours: Result) -> None:
    """Each kind of output is the same as from nbclient and ipykernel over sockets."""
    cell = next(cell for cell in ours.cells if cell.index == index)
    expected = real["cells"][index]
    assert _merged(cell.outputs) == _merged(expected["outputs"])
    assert cell.execution_count == expected["execution_count"]


def test_outputs_are_valid(ours: Result) -> None:
    """Outputs grafted onto a notebook satisfy nbformat's schema."""
    node = nbformat.reads(notebook(*CELLS.values()).decode(), as_version=4)
    for cell in ours.cells:
        node.cells[cell.index].outputs = [nbformat.from_dict(output) for output in cell.outputs]
    nbformat.validate(node)


def test_widgets_are_those_of_nbclient(real: Any, ours: Result) -> None:
    """The models of the notebook's widgets are kept, as in a notebook that nbclient executed."""
    kind = "application/vnd.jupyter.widget-state+json"
    expected = sorted(model["model_name"] for model in real.metadata.widgets[kind]["state"].values())
    found = sorted(model["model_name"] for model in ours.widgets[kind]["state"].values())
    assert found == expected
