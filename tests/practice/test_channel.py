"""The folder of sockets: this user's alone, or none."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from torchdojo.errors import OursError
from torchdojo.practice.channel import Door, Line, name_for


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime folder, not made yet; its path is longer than a socket's may be."""
    long = tmp_path / ("long" * 30)
    long.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    return long / "torchdojo"


def test_folder_is_made_for_this_user_alone(folder: Path) -> None:
    """The folder is made with mode 0700."""
    with Door():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_folder_that_others_can_enter(folder: Path) -> None:
    """A folder that others could put a socket into is refused, with what to do."""
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(OursError, match=r"is not yours alone.*--no-keep"):
        Door()


def test_folder_of_another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of another user is refused."""
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(OursError, match="is not yours alone"):
        Door()


def test_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A link in the folder's place is refused, wherever it leads."""
    folder.symlink_to(tmp_path)
    with pytest.raises(OursError, match="no folder for the warm parent's socket"):
        Door()


def test_line_carries_messages(folder: Path) -> None:
    """A message is the same at the other end; None comes when that end is gone, or says what is no JSON."""
    with Door() as door, door.locked():
        listener = door.listen("a.sock")
        line = door.connect("a.sock")
        assert line is not None
        with listener, line:
            raw, _ = listener.accept()
            with Line(raw) as other:
                assert other.peer() == (os.getpid(), os.getuid())
                line.send({"a": ["ä\n", 1.5]})
                assert other.receive(5) == {"a": ["ä\n", 1.5]}
                raw.sendall(b"no json\n")
                assert line.receive(5) is None
                assert line.receive(0.01) is None
            assert line.receive(5) is None


def test_socket_of_a_killed_server(folder: Path) -> None:
    """Nobody listens at a socket that was left behind: it is nobody's, and gives way to another."""
    with Door() as door, door.locked():
        door.listen("a.sock").close()
        assert door.connect("a.sock") is None
        with door.listen("a.sock"):
            line = door.connect("a.sock")
            assert line is not None
            line.close()
        door.remove("a.sock")
        assert door.names() == []


def test_each_course_has_its_own(tmp_path: Path) -> None:
    """Two courses have two sockets, one course always the same."""
    assert name_for(tmp_path) == name_for(tmp_path / "x" / "..")
    assert name_for(tmp_path) != name_for(tmp_path / "x")
