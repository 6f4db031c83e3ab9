"""A kernel's messages as notebook outputs: the rules of nbclient and `nbformat.v4.output_from_msg`, by hand.

By hand because importing nbformat costs 1.9 s, and because what comes from a hostile kernel must end up valid or not
at all. tests/kernels compares it with both.
"""

from __future__ import annotations

import re
from typing import Any

Output = dict[str, Any]
_JSON_TYPE = re.compile(r"application/(.*\+)?json")
_STREAMS = ("stdout", "stderr")


def error_output(ename: str, sentence: str) -> Output:
    """An `error` output of the grader's own: what nbgrader shows for a cell that hit its time limit."""
    return {
        "output_type": "error",
        "ename": ename,
        "evalue": sentence,
        "traceback": [f"\x1b[0;31m{ename}\x1b[0m: {sentence}"],
    }


def output_of(kind: str, content: dict[str, Any]) -> Output | None:
    """The output that a message stands for; None where it stands for none, or is no message a kernel would send."""
    if kind in ("display_data", "update_display_data", "execute_result"):
        output: Output = {
            "output_type": "execute_result" if kind == "execute_result" else "display_data",
            "metadata": _dict(content.get("metadata")),
            "data": _bundle(content.get("data")),
        }
        if kind == "execute_result":
            count = content.get("execution_count")
            output["execution_count"] = count if type(count) is int and count >= 0 else None
        return output
    if kind == "error":
        lines = content.get("traceback")
        return {
            "output_type": "error",
            "ename": str(content.get("ename", "")),
            "evalue": str(content.get("evalue", "")),
            "traceback": [str(line) for line in lines] if isinstance(lines, list) else [],
        }
    return None


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _bundle(value: object) -> dict[str, Any]:
    return {
        mime: data
        for mime, data in _dict(value).items()
        if isinstance(data, str)
        or _JSON_TYPE.fullmatch(mime)
        or (isinstance(data, list) and all(isinstance(line, str) for line in data))
    }


class NotebookOutputs:
    """Outputs of the cells of one notebook, while its kernel runs.

    Text of a stream waits until the kernel flushes that stream, as in ipykernel, so the order of outputs is the
    kernel's; neighbouring pieces of one stream are one output. A display id is followed through all cells.
    """

    def __init__(self) -> None:
        self.cells: dict[int, list[Output]] = {}
        self.counts: dict[int, int | None] = {}
        self.widgets = Widgets()
        self._at = -1
        self._waiting: dict[str, list[str]] = {name: [] for name in _STREAMS}
        self._open: tuple[Output, list[str]] | None = None  # the last stream output and its pieces, joined once
        self._display_ids: dict[str, dict[int, list[int]]] = {}
        self._clear_next = False

    def begin(self, index: int) -> None:
        """What follows belongs to the cell at `index`."""
        self._at = index
        self.cells[index] = []
        self.counts[index] = None
        self._clear_next = False

    def text(self, name: str, text: str) -> None:
        """Text written to a stream, not flushed yet."""
        if text:
            self._waiting[name].append(text)

    def flush(self, name: str) -> None:
        """Turn what waits of a stream into output."""
        pieces, self._waiting[name] = self._waiting[name], []
        if not pieces:
            return
        if self.widgets.catching:
            self.widgets.capture({"output_type": "stream", "name": name, "text": "".join(pieces)})
            return
        self._before_output()
        outputs = self.cells[self._at]
        if self._open is not None and outputs and outputs[-1] is self._open[0] and outputs[-1]["name"] == name:
            self._open[1].extend(pieces)
        else:
            self._join()
            output = {"output_type": "stream", "name": name, "text": ""}
            outputs.append(output)
            self._open = (output, pieces)

    def end(self) -> None:
        """Flush both streams: the cell has ended, or is over."""
        for name in _STREAMS:
            self.flush(name)
        self._join()

    def add(self, output: Output) -> None:
        """An output of the grader's own, after all others."""
        self.cells[self._at].append(output)

    def message(self, kind: str, content: dict[str, Any], buffers: list[str]) -> None:
        """A message on the kernel's iopub channel. Unknown ones, and those of no known form, are passed over."""
        if kind == "clear_output":
            self._clear(bool(content.get("wait")))
        elif kind == "execute_input":
            count = content.get("execution_count")
            self.counts[self._at] = count if type(count) is int and count >= 0 else None
        elif kind.startswith("comm_"):
            self.widgets.message(kind, content, buffers)
        else:
            self._output(kind, content)

    def errors(self) -> list[str]:
        """Names of the errors that the current cell shows."""
        return [output["ename"] for output in self.cells[self._at] if output["output_type"] == "error"]

    def _output(self, kind: str, content: dict[str, Any]) -> None:
        output = output_of(kind, content)
        if output is None:
            return
        display_id = _dict(content.get("transient")).get("display_id")
        if isinstance(display_id, str) and display_id:
            self._update(display_id, output)
        else:
            display_id = None
        if kind == "update_display_data":
            return
        if self.widgets.catching:
            self.widgets.capture(output)
            return
        self._before_output()
        if display_id is not None and kind != "error":
            places = self._display_ids.setdefault(display_id, {}).setdefault(self._at, [])
            places.append(len(self.cells[self._at]))
        self.cells[self._at].append(output)

    def _update(self, display_id: str, output: Output) -> None:
        for index, places in self._display_ids.get(display_id, {}).items():
            for place in places:
                self.cells[index][place]["data"] = output["data"]
                self.cells[index][place]["metadata"] = output["metadata"]

    def _clear(self, wait: bool) -> None:
        if self.widgets.catching:
            self.widgets.clear(wait)
        elif wait:
            self._clear_next = True
        else:
            self._forget()

    def _before_output(self) -> None:
        if self._clear_next:
            self._forget()
            self._clear_next = False

    def _join(self) -> None:
        if self._open is not None:
            output, pieces = self._open
            output["text"] = "".join(pieces)
            self._open = None

    def _forget(self) -> None:
        self.cells[self._at] = []
        for places in self._display_ids.values():
            places.pop(self._at, None)


class Widgets:
    """The models of a notebook's widgets, and `ipywidgets.Output`, which takes a cell's outputs to itself.

    Plays the part of JupyterLab that nbclient plays: an Output widget announces itself by a comm, and is told what it
    caught by `replies`, comm messages for the kernel to read after the cell.
    """

    def __init__(self) -> None:
        self.state: dict[str, dict[str, Any]] = {}
        self.buffers: dict[str, dict[str, dict[str, Any]]] = {}
        self.replies: list[dict[str, Any]] = []
        self._output_models: dict[str, bool] = {}  # comm id -> clear before its next output
        self._catching: list[str] = []

    def message(self, kind: str, content: dict[str, Any], buffers: list[str]) -> None:
        """A comm message from the kernel."""
        comm_id = content.get("comm_id")
        state = _dict(content.get("data")).get("state")
        if not isinstance(comm_id, str) or not isinstance(state, dict):
            return
        self.state.setdefault(comm_id, {}).update(state)
        paths = _dict(content.get("data")).get("buffer_paths")
        if isinstance(paths, list):
            for path, data in zip(paths, buffers, strict=False):
                held = self.buffers.setdefault(comm_id, {})
                held[repr(path)] = {"data": data, "encoding": "base64", "path": path}
        if kind == "comm_open" and state.get("_model_name") == "OutputModel":
            self._output_models[comm_id] = False
            self.state[comm_id].setdefault("outputs", [])
        elif kind == "comm_msg" and comm_id in self._output_models and "msg_id" in state:
            if state["msg_id"]:
                self._catching.append(comm_id)
            elif self._catching:
                self._catching.pop()

    @property
    def catching(self) -> bool:
        """Whether an Output widget takes the outputs that come now."""
        return bool(self._catching)

    def capture(self, output: Output) -> None:
        """Give an output to the Output widget entered last."""
        comm_id = self._catching[-1]
        if self._output_models[comm_id]:
            self._output_models[comm_id] = False
            self.state[comm_id]["outputs"] = []
        held = self._outputs(comm_id)
        last = held[-1] if held else {}
        if output["output_type"] == "stream" and last.get("name") == output["name"] and "text" in last:
            last["text"] += output["text"]
        else:
            held.append(output)
        self._tell(comm_id)

    def clear(self, wait: bool) -> None:
        """Clear the Output widget entered last."""
        comm_id = self._catching[-1]
        if wait:
            self._output_models[comm_id] = True
        else:
            self.state[comm_id]["outputs"] = []
            self._tell(comm_id)

    def metadata(self) -> dict[str, Any]:
        """What nbclient puts in a notebook's metadata under `widgets`; empty where there is no widget."""
        models = {}
        for comm_id, state in self.state.items():
            if "_model_name" not in state:
                continue
            models[comm_id] = {
                "model_name": state.get("_model_name"),
                "model_module": state.get("_model_module"),
                "model_module_version": state.get("_model_module_version"),
                "state": state,
            }
            if comm_id in self.buffers:
                models[comm_id]["buffers"] = list(self.buffers[comm_id].values())
        if not models:
            return {}
        kind = "application/vnd.jupyter.widget-state+json"
        return {kind: {"state": models, "version_major": 2, "version_minor": 0}}

    def _outputs(self, comm_id: str) -> list[Output]:
        held = self.state[comm_id].get("outputs")
        if not isinstance(held, list) or not all(isinstance(output, dict) for output in held):
            held = self.state[comm_id]["outputs"] = []
        return held

    def _tell(self, comm_id: str) -> None:
        data = {"method": "update", "state": {"outputs": self.state[comm_id]["outputs"]}, "buffer_paths": []}
        self.replies = [reply for reply in self.replies if reply["comm_id"] != comm_id]
        self.replies.append({"comm_id": comm_id, "data": data})
