"""MNIST, offline: where the course's copy lies, unpacked on first use and checked by md5.

Owns the files, their sums and where they are looked for; reads no image (torchvision does).
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import secrets
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path

from torchdojo.errors import OursError


@dataclass(frozen=True, slots=True)
class IdxFile:
    """One file of MNIST as its authors published it, unpacked."""

    name: str
    size_bytes: int
    md5: str


MNIST_FILES = (
    IdxFile("train-images-idx3-ubyte", 47_040_016, "6bbc9ace898e44ae57da46a324031adb"),
    IdxFile("train-labels-idx1-ubyte", 60_008, "a25bea736e30d166cdddb491f175f624"),
    IdxFile("t10k-images-idx3-ubyte", 7_840_016, "2646ac647ad5339dbf082846283269ea"),
    IdxFile("t10k-labels-idx1-ubyte", 10_008, "27ae3e4e09519cfbb04c329615203637"),
)


def mnist_root(root: Path | None = None, *, verify: bool = False) -> Path:
    """The folder to give to `torchvision.datasets.MNIST(..., download=False)`.

    The course's `data` folder is `root`, or else `$TORCHDOJO_DATA`, or else `data/` beside the nearest
    `course.yml` above the working directory, or else that of the clone this package was installed from
    with `pip install -e`.

    On first use its files are unpacked there. Where that folder cannot be written (a read-only mount,
    another user's clone), they are unpacked into this user's cache folder (`~/.cache/torchdojo` on
    Linux), which is then what is returned. Any number of processes may ask at once.

    A file is checked by md5 while it is unpacked and by its size ever after; `verify` asks for md5 again
    (about 0.1 s). An unpacked file that fails its check is unpacked anew, without a word: in a grade cell
    a warning would cost the student their points.

    Raises:
        OursError: no data folder was found; a packed file is missing or corrupted; the disk is full; or
            neither folder can be written. The message names the file and says what to do next.
    """
    data = _find_data(root)
    cache = user_cache_path("torchdojo")
    for place in (data, cache):
        if all(_stands(_raw(place) / file.name, file, verify=verify) for file in MNIST_FILES):
            return place
    try:
        return _unpack(data, into=data)
    except _NotWritable as in_data:
        try:
            return _unpack(data, into=cache)
        except _NotWritable as in_cache:
            raise OursError(
                f"MNIST must be unpacked once, and no folder for it can be written: {in_data}; {in_cache}. "
                f"Copy {data} to a folder of yours and set TORCHDOJO_DATA to that copy."
            ) from in_cache


class _NotWritable(Exception):
    """This folder refuses writing; another may not."""


def readable_data(folder: Path) -> tuple[str, ...]:
    """What a job may read of a course's data folder: nothing where there is none.

    MNIST is unpacked now: student code could not write there.

    Raises:
        OursError: as `mnist_root`.
    """
    if not folder.is_dir():
        return ()
    return (str(mnist_root(folder) if (folder / "MNIST").is_dir() else folder),)


def _find_data(root: Path | None) -> Path:
    if root is not None:
        return _named_data(Path(root), said_by="root")
    if named := os.environ.get("TORCHDOJO_DATA"):
        return _named_data(Path(named), said_by="TORCHDOJO_DATA")
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "course.yml").exists() and _holds_mnist(folder / "data"):
            return folder / "data"
    clone = Path(__file__).resolve().parents[1]
    if _holds_mnist(clone / "data"):
        return clone / "data"
    raise OursError(
        f"MNIST was not found: no course.yml with data/MNIST beside it in {here} or above, "
        "and this torchdojo was not installed from a clone of the course. "
        "Clone the course and set TORCHDOJO_DATA=/path/to/clone/data."
    )


def _named_data(folder: Path, *, said_by: str) -> Path:
    folder = folder.expanduser().absolute()
    if _holds_mnist(folder):
        return folder
    nearby = (folder / "data", folder.parent, folder.parent.parent)
    remedy = next((str(near) for near in nearby if _holds_mnist(near)), "/path/to/clone/data")
    raise OursError(f"{said_by}: {folder} has no MNIST/raw in it. Set {said_by} to the course's data folder: {remedy}")


def _holds_mnist(folder: Path) -> bool:
    return os.path.isdir(_raw(folder))  # unlike Path.is_dir, a folder one may not look into is False


def _raw(folder: Path) -> Path:
    return folder / "MNIST" / "raw"  # the layout is torchvision's


def _md5(content: bytes | bytearray) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _stands(path: Path, file: IdxFile, *, verify: bool) -> bool:
    try:
        with path.open("rb") as unpacked:  # opened, since another user's file may be there and unreadable
            if os.fstat(unpacked.fileno()).st_size != file.size_bytes:
                return False
            return not verify or _md5(unpacked.read()) == file.md5
    except OSError:
        return False


def _unpack(data: Path, *, into: Path) -> Path:
    for file in MNIST_FILES:
        target = _raw(into) / file.name
        # By md5 whatever the caller asked: the file that lies here may be the reason for unpacking.
        if not _stands(target, file, verify=True):
            _write_whole(target, _read_packed(_raw(data) / f"{file.name}.gz", file))
    return into


def _read_packed(source: Path, file: IdxFile) -> bytes:
    content, trouble = bytearray(), ""
    try:
        with gzip.open(source) as packed:
            # read1, so that a file that was cut short still tells how far it goes.
            while len(content) <= file.size_bytes and (chunk := packed.read1(1 << 20)):
                content += chunk
    except FileNotFoundError:
        raise OursError(
            f"{source} is missing (expected a file that unpacks to md5 {file.md5}). {_restore(source)}"
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        trouble = f"; {error}"
    except OSError as error:
        raise OursError(f"{source} cannot be read: {error.strerror}. {_restore(source)}") from error
    found = _md5(content)
    if trouble or found != file.md5:
        raise OursError(
            f"{source} is corrupted: expected {file.size_bytes} bytes with md5 {file.md5} once unpacked, "
            f"found {len(content)} bytes with md5 {found}{trouble}. {_restore(source)}"
        )
    return bytes(content)


def _restore(source: Path) -> str:
    return f"Run `git checkout -- {source.name}` in {source.parent}, or copy it from another clone."


def _write_whole(target: Path, content: bytes) -> None:
    """All of `content` stands at `target`, or `target` is as it was.

    The temporary name ends in -ubyte because .gitignore knows that ending: what a killed process leaves
    behind is not committed.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part-ubyte")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise _NotWritable(f"{target.parent} ({error.strerror})") from error
        raise OursError(
            f"{target} cannot be written: {error.strerror} ({len(content)} bytes are needed). "
            "Nothing half-written was left there. Make room and run this again, "
            "or set TORCHDOJO_DATA to a copy of the data folder on another disk."
        ) from error
