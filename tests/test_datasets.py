"""MNIST, offline: the files are the real ones, and whatever lies in their way is named."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torchdojo import datasets
from torchdojo.datasets import MNIST_FILES, mnist_root
from torchdojo.errors import OursError

CLONE = Path(__file__).resolve().parents[1]
TRAIN_LABELS, TEST_LABELS = "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"  # small: quick to unpack
LABELS_MD5 = "27ae3e4e09519cfbb04c329615203637"  # of TEST_LABELS


@pytest.fixture(autouse=True)
def clean_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither this user's cache folder nor their TORCHDOJO_DATA is seen by a test."""
    monkeypatch.setattr(datasets, "user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.delenv("TORCHDOJO_DATA", raising=False)


@pytest.fixture(scope="session")
def unpacked() -> Path:
    """MNIST/raw of this clone, unpacked."""
    return mnist_root(CLONE / "data") / "MNIST" / "raw"


MakeData = Callable[..., Path]


@pytest.fixture
def make_data(unpacked: Path) -> Iterator[MakeData]:
    """Makes a data folder with the four packed files in it and, unpacked, all but the ones it is told."""
    # Not tmp_path, into which only its owner may look, and which pytest keeps.
    with tempfile.TemporaryDirectory() as top:
        os.chmod(top, 0o755)

        def make(*, without: tuple[str, ...]) -> Path:
            raw = Path(top, "data", "MNIST", "raw")
            raw.mkdir(parents=True)
            for file in MNIST_FILES:
                shutil.copy(CLONE / "data" / "MNIST" / "raw" / f"{file.name}.gz", raw)
                if file.name not in without:
                    (raw / file.name).symlink_to(unpacked / file.name)
            return raw.parents[1]

        yield make


def raw(data: Path, name: str) -> Path:
    return data / "MNIST" / "raw" / name


def names(data: Path) -> set[str]:
    return {path.name for path in raw(data, "").iterdir()}


EIGHT = {file.name for file in MNIST_FILES} | {f"{file.name}.gz" for file in MNIST_FILES}


@contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """No new file can be made in the folders, by root either: root becomes nobody for a while."""
    was_root = os.geteuid() == 0
    for folder in folders:
        folder.chmod(0o555)
    try:
        if was_root:
            try:
                os.seteuid(65534)
            except OSError:
                pytest.skip("root here cannot become another user, and nothing is read-only for root")
        yield
    finally:
        if was_root:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


# The files


@pytest.mark.parametrize("file", MNIST_FILES, ids=lambda file: file.name)
def test_committed_file_unpacks_to_the_published_md5(file: datasets.IdxFile) -> None:
    """Each committed file is, unpacked, what the authors of MNIST published."""
    content = gzip.decompress(raw(CLONE / "data", f"{file.name}.gz").read_bytes())
    assert len(content) == file.size_bytes
    assert hashlib.md5(content).hexdigest() == file.md5
    assert file.md5 in (CLONE / "data" / "README.md").read_text()


@pytest.mark.parametrize("file", MNIST_FILES, ids=lambda file: file.name)
def test_committed_file_carries_no_name_and_no_time(file: datasets.IdxFile) -> None:
    """Packing again gives the same header: neither a file name nor a time of day is in it."""
    with raw(CLONE / "data", f"{file.name}.gz").open("rb") as packed:
        assert packed.read(8) == b"\x1f\x8b\x08\x00" + bytes(4)


@pytest.mark.parametrize(
    ("train", "length", "first"), [(True, 60_000, [5, 0, 4, 1, 9]), (False, 10_000, [7, 2, 1, 0, 4])]
)
def test_torchvision_reads_the_folder(unpacked: Path, train: bool, length: int, first: list[int]) -> None:
    """torchvision's MNIST reads what mnist_root gives, without download and without a warning."""
    from torchvision.datasets import MNIST

    digits = MNIST(mnist_root(CLONE / "data"), train=train, download=False)
    assert tuple(digits.data.shape) == (length, 28, 28)
    assert digits.targets[:5].tolist() == first
    assert len(digits) == length


def test_import_leaves_torch_alone() -> None:
    """Importing torchdojo.datasets does not import torch, so that `torchdojo --help` stays quick."""
    code = "import sys, torchdojo.datasets; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=CLONE, check=False).returncode == 0


# Where the course's data is looked for


def test_argument_wins_over_variable(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that is given is used, whatever TORCHDOJO_DATA says."""
    data = make_data(without=())
    monkeypatch.setenv("TORCHDOJO_DATA", "/nowhere")
    assert mnist_root(data) == data


def test_variable_wins_over_working_directory(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """TORCHDOJO_DATA is used, even inside a clone."""
    data = make_data(without=())
    monkeypatch.setenv("TORCHDOJO_DATA", str(data))
    monkeypatch.chdir(CLONE)
    assert mnist_root() == data


def test_nearest_course_above_the_working_directory(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """In release/09-mnist of a course, that course's data is found."""
    data = make_data(without=())
    (data.parent / "course.yml").touch()
    notebooks = data.parent / "release" / "09-mnist"
    notebooks.mkdir(parents=True)
    monkeypatch.chdir(notebooks)
    assert mnist_root() == data


def test_editable_install_knows_its_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside any course, the clone that torchdojo was installed from is used."""
    monkeypatch.chdir(tmp_path)
    assert mnist_root() == CLONE / "data"


def test_relative_root_survives_chdir(make_data: MakeData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that comes back is absolute."""
    data = make_data(without=())
    monkeypatch.chdir(data.parent)
    assert mnist_root(Path("data")) == data


def test_not_found_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed from a wheel and outside any course, the error says what to set."""
    monkeypatch.setattr(datasets, "__file__", str(tmp_path / "site-packages" / "torchdojo" / "datasets.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OursError, match="TORCHDOJO_DATA=/path/to/clone/data"):
        mnist_root()


@pytest.mark.parametrize("slip", ["", "data/MNIST", "data/MNIST/raw"])
def test_variable_that_misses_the_folder_is_told_the_right_one(
    make_data: MakeData, monkeypatch: pytest.MonkeyPatch, slip: str
) -> None:
    """TORCHDOJO_DATA set to the clone, or too deep, names itself, what it holds and what it should hold."""
    data = make_data(without=())
    wrong = data.parent / slip
    monkeypatch.setenv("TORCHDOJO_DATA", str(wrong))
    with pytest.raises(OursError) as caught:
        mnist_root()
    assert str(caught.value) == (
        f"TORCHDOJO_DATA: {wrong} has no MNIST/raw in it. Set TORCHDOJO_DATA to the course's data folder: {data}"
    )


# Unpacking


def test_two_processes_unpack_at_once(make_data: MakeData) -> None:
    """Two processes that both find nothing unpacked both get the right files, and leave nothing else."""
    data = make_data(without=tuple(file.name for file in MNIST_FILES))
    code = (
        "import sys; from pathlib import Path; from torchdojo.datasets import mnist_root\n"
        "print('ready', flush=True); sys.stdin.readline(); print(mnist_root(Path(sys.argv[1])))"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(data)],
            cwd=CLONE,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        out, _ = process.communicate(timeout=60)
        assert out == f"{data}\n"
        assert process.returncode == 0
    assert names(data) == EIGHT
    for file in MNIST_FILES:
        assert hashlib.md5(raw(data, file.name).read_bytes()).hexdigest() == file.md5


def test_unpacked_files_are_left_alone(make_data: MakeData) -> None:
    """A second call writes nothing, not even with verify."""
    data = make_data(without=(TEST_LABELS,))
    mnist_root(data)
    before = raw(data, TEST_LABELS).stat()
    mnist_root(data, verify=True)
    after = raw(data, TEST_LABELS).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_unpacked_files_suffice(make_data: MakeData) -> None:
    """Where the unpacked files stand, the packed ones are not needed."""
    data = make_data(without=())
    for file in MNIST_FILES:
        raw(data, f"{file.name}.gz").unlink()
    assert mnist_root(data, verify=True) == data


def test_unpacked_file_can_be_read_by_others(make_data: MakeData) -> None:
    """The rights of an unpacked file are those that the umask gives: a class may share one clone."""
    data = make_data(without=(TEST_LABELS,))
    umask = os.umask(0o022)
    try:
        mnist_root(data)
    finally:
        os.umask(umask)
    assert raw(data, TEST_LABELS).stat().st_mode & 0o777 == 0o644


def test_half_written_file_is_not_taken(make_data: MakeData) -> None:
    """What a killed process left behind under its temporary name is not mistaken for the file."""
    data = make_data(without=(TEST_LABELS,))
    left_behind = raw(data, f".{TEST_LABELS}.4711-0badf00d.part-ubyte")
    left_behind.write_bytes(b"half")
    mnist_root(data)
    assert hashlib.md5(raw(data, TEST_LABELS).read_bytes()).hexdigest() == LABELS_MD5
    assert left_behind.read_bytes() == b"half"


def test_truncated_file_is_unpacked_anew(make_data: MakeData, unpacked: Path) -> None:
    """An unpacked file of the wrong size is replaced, without being asked."""
    data = make_data(without=(TEST_LABELS,))
    raw(data, TEST_LABELS).write_bytes((unpacked / TEST_LABELS).read_bytes()[:5000])
    mnist_root(data)
    assert hashlib.md5(raw(data, TEST_LABELS).read_bytes()).hexdigest() == LABELS_MD5


def test_verify_finds_a_changed_byte(make_data: MakeData, unpacked: Path) -> None:
    """An unpacked file of the right size and the wrong content is replaced when verify is asked for."""
    data = make_data(without=(TEST_LABELS,))
    content = bytearray((unpacked / TEST_LABELS).read_bytes())
    content[5000] ^= 1
    raw(data, TEST_LABELS).write_bytes(content)
    mnist_root(data)
    assert raw(data, TEST_LABELS).read_bytes() == content
    mnist_root(data, verify=True)
    assert hashlib.md5(raw(data, TEST_LABELS).read_bytes()).hexdigest() == LABELS_MD5


# Packed files that are not right


def flip_a_byte(packed: bytes) -> bytes:
    return packed[:2000] + bytes([packed[2000] ^ 0x55]) + packed[2001:]


def cut_short(packed: bytes) -> bytes:
    return packed[:2000]


def be_no_gzip(packed: bytes) -> bytes:
    return b"version https://git-lfs.github.com/spec/v1\n"


def be_another_file(packed: bytes) -> bytes:
    return gzip.compress(gzip.decompress(packed)[:-1] + b"\xff")


def be_far_too_long(packed: bytes) -> bytes:
    return gzip.compress(bytes(3_000_000))


@pytest.mark.parametrize("harm", [flip_a_byte, cut_short, be_no_gzip, be_another_file, be_far_too_long])
def test_corrupted_file_is_named(make_data: MakeData, harm: Callable[[bytes], bytes]) -> None:
    """A corrupted packed file is named with the md5 it should have, the one found and the next step."""
    data = make_data(without=(TEST_LABELS,))
    packed = raw(data, f"{TEST_LABELS}.gz")
    packed.write_bytes(harm(packed.read_bytes()))
    with pytest.raises(OursError) as caught:
        mnist_root(data)
    message = str(caught.value)
    assert message.startswith(f"{packed} is corrupted: expected 10008 bytes with md5 {LABELS_MD5}")
    assert message.count("md5") == 2
    assert f"git checkout -- {packed.name}" in message
    assert names(data) == EIGHT - {TEST_LABELS}


def test_missing_file_is_named(make_data: MakeData) -> None:
    """A missing packed file is named, with the next step."""
    data = make_data(without=(TEST_LABELS,))
    packed = raw(data, f"{TEST_LABELS}.gz")
    packed.unlink()
    with pytest.raises(OursError) as caught:
        mnist_root(data)
    message = str(caught.value)
    assert message.startswith(f"{packed} is missing")
    assert LABELS_MD5 in message
    assert f"git checkout -- {packed.name}" in message


# Folders that cannot be written


def test_read_only_data_is_unpacked_into_the_cache(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the data folder cannot be written, the user's cache folder holds the unpacked files."""
    data = make_data(without=(TEST_LABELS,))
    cache = data.parent / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    monkeypatch.setattr(datasets, "user_cache_path", lambda name: cache / name)
    with read_only(raw(data, "")):
        assert mnist_root(data) == cache / "torchdojo"
        assert mnist_root(data, verify=True) == cache / "torchdojo"
    assert names(data) == EIGHT - {TEST_LABELS}
    assert names(cache / "torchdojo") == {file.name for file in MNIST_FILES}


def test_nowhere_to_write_names_both_folders(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cache folder cannot be written either, both are named, with the next step."""
    data = make_data(without=(TEST_LABELS,))
    cache = data.parent / "cache"
    cache.mkdir()
    monkeypatch.setattr(datasets, "user_cache_path", lambda name: cache / name)
    with read_only(raw(data, ""), cache), pytest.raises(OursError) as caught:
        mnist_root(data)
    message = str(caught.value)
    assert str(raw(data, "")) in message
    assert str(cache / "torchdojo") in message
    assert "set TORCHDOJO_DATA" in message


def test_full_disk_leaves_nothing_half_written(make_data: MakeData, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, the file that was to be written is named and what stood before stands."""
    data = make_data(without=(TEST_LABELS,))
    raw(data, TEST_LABELS).write_bytes(b"old")

    def fsync(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OursError) as caught:
        mnist_root(data)
    message = str(caught.value)
    assert message.startswith(f"{raw(data, TEST_LABELS)} cannot be written: {os.strerror(errno.ENOSPC)}")
    assert "Make room" in message
    assert names(data) == EIGHT
    assert raw(data, TEST_LABELS).read_bytes() == b"old"


def test_write_that_stops_midway_leaves_nothing_half_written(make_data: MakeData) -> None:
    """A write that really stops halfway (a limit on the size of files) leaves no file behind."""
    resource = pytest.importorskip("resource", reason="limits are POSIX's")
    data = make_data(without=(TRAIN_LABELS,))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))
    try:
        with pytest.raises(OursError, match="cannot be written"):
            mnist_root(data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(data) == EIGHT - {TRAIN_LABELS}
