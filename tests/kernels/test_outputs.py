"""Outputs are made by the rules of nbformat and nbclient, and are valid whatever a kernel sends."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import nbformat.v4
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchdojo.kernels import wire
from torchdojo.kernels.outputs import NotebookOutputs, error_output, output_of

MESSAGES = [
    ("display_data", {"data": {"text/plain": "a"}, "metadata": {}, "transient": {}}),
    (
        "display_data",
        {"data": {"text/plain": ["a\n", "b"], "application/json": [1, {"b": None}]}, "metadata": {"x": 1}},
    ),
    (
        "display_data",
        {"data": {"application/vnd.x+json": 3, "image/png": "aGk="}, "metadata": {"image/png": {"width": 1}}},
    ),
    ("execute_result", {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 3}),
    ("error", {"ename": "E", "evalue": "v", "traceback": ["a", "b"]}),
]


@pytest.mark.parametrize(("kind", "content"), MESSAGES)
def test_an_output_is_what_nbformat_makes_of_a_message(kind: str, content: dict[str, Any]) -> None:
    """For the messages of an honest kernel, `output_of` equals `nbformat.v4.output_from_msg`."""
    expected = nbformat.v4.output_from_msg({"header": {"msg_type": kind}, "content": content})
    assert output_of(kind, json.loads(json.dumps(content))) == expected


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from([*sorted(wire.SHOWN), "stream", "execute_input", "status", "x"])
KEYS = st.sampled_from(
    [
        *("data", "metadata", "transient", "execution_count", "ename", "evalue", "traceback", "wait", "comm_id"),
        *("text/plain", "display_id", "state", "_model_name", "msg_id", "outputs", "buffer_paths"),
    ]
)
HOSTILE = st.dictionaries(KEYS, ANY | st.dictionaries(KEYS, ANY | st.dictionaries(KEYS, ANY, max_size=3), max_size=3))


@given(st.lists(st.tuples(KINDS, HOSTILE, st.lists(st.text(max_size=3), max_size=2)), max_size=8))
def test_outputs_are_valid_whatever_comes(messages: list[tuple[str, dict[str, Any], list[str]]]) -> None:
    """No sequence of messages raises, and what comes of it satisfies the schema of a notebook."""
    outputs = NotebookOutputs()
    outputs.begin(0)
    for kind, content, buffers in messages:
        outputs.text("stdout", "t")
        outputs.message(kind, content, buffers)
        outputs.flush("stdout")
    outputs.end()
    outputs.add(error_output("E", "s"))
    cell = nbformat.v4.new_code_cell(outputs=[nbformat.from_dict(output) for output in outputs.cells[0]])
    nbformat.validate(nbformat.v4.new_notebook(cells=[cell]))
    outputs.widgets.metadata()


def test_neighbouring_text_is_one_output() -> None:
    """Pieces of one stream are put together unless something lies between."""
    outputs = NotebookOutputs()
    outputs.begin(0)
    for piece in ("a", "b"):
        outputs.text("stdout", piece)
        outputs.flush("stdout")
    outputs.message(*MESSAGES[0], [])
    outputs.text("stdout", "c")
    outputs.end()
    assert [output.get("text") for output in outputs.cells[0]] == ["ab", None, "c"]


def test_a_display_id_is_followed_through_cells() -> None:
    """An update changes every output with its id, in any cell, and is no output itself."""
    outputs = NotebookOutputs()
    first = {"data": {"text/plain": "1"}, "metadata": {}, "transient": {"display_id": "d"}}
    outputs.begin(0)
    outputs.message("display_data", first, [])
    outputs.begin(2)
    outputs.message("update_display_data", {**first, "data": {"text/plain": "2"}}, [])
    assert outputs.cells[0][0]["data"] == {"text/plain": "2"}
    assert outputs.cells[2] == []
