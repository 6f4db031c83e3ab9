"""A root folder of one job's own: what it may read, bound read-only; what it may write, in memory of a bounded size."""

from __future__ import annotations

import errno
import functools
import glob
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from torchdojo.kernels import linux
from torchdojo.kernels.namespaces import STUDENT, Identity

HOME = "/home/student"
_OLD, _OWN = "/.old", "/.own"  # gone before student code runs
_BASES = ("/tmp", "/mnt", "/var", "/usr")  # some folder to build on; what lies in it stays as it is
_DEVICES = ("null", "zero", "full", "urandom")
_INODES = 100_000  # of a kilobyte each, which a size in bytes does not count
_OF_A_PREFIX = ("bin", "include", "lib", "lib32", "lib64", "libexec", "pyvenv.cfg")
_OF_ETC = ("ld.so.cache", "localtime", "fonts", "alternatives")
_OF_SYS = ("/sys/devices/system",)  # torch counts processors there
_OF_SYS_FOR_CUDA = ("/sys/bus/pci", "/sys/devices/pci*", "/sys/class/drm", "/sys/module/nvidia*")
_ETC = {
    "passwd": f"root:x:0:0::/:/bin/false\nstudent:x:{STUDENT}:{STUDENT}::{HOME}:/bin/sh\n",
    "group": f"root:x:0:\nstudent:x:{STUDENT}:\n",
    "hosts": "127.0.0.1 localhost torchdojo\n::1 localhost\n",
    "hostname": "torchdojo\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


@functools.cache
def system_paths() -> tuple[str, ...]:
    """What Python and compiled code need to read: this interpreter's own folders, /usr, and a few files of /etc."""
    paths = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"]
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        paths += [os.path.join(prefix, name) for name in _OF_A_PREFIX]
    paths += [sys.executable, os.path.dirname(os.__file__)]
    paths += [entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages")]
    paths.append(str(Path(__file__).resolve().parents[1]))  # torchdojo itself, not the course that it may lie in
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths += [f"/etc/{name}" for name in (*_OF_ETC, version)]
    return tuple(dict.fromkeys(path for path in paths if os.path.lexists(path)))


def devices(*, cuda: bool) -> list[str]:
    """Device files a job may use."""
    return [f"/dev/{name}" for name in _DEVICES] + (glob.glob("/dev/nvidia*") if cuda else [])


def machine_paths(*, cuda: bool) -> list[str]:
    """What a job may read of /sys."""
    patterns = _OF_SYS + (_OF_SYS_FOR_CUDA if cuda else ())
    return [path for pattern in patterns for path in glob.glob(pattern)]


@dataclass(frozen=True, slots=True)
class Layout:
    """What a private root is made of. Paths are absolute, and the same inside as outside.

    `folder` is the job's own: `bound`, or else copied, in which case it counts towards `size_mib`, as /tmp, /dev/shm
    and HOME do. `home_files` are copied into HOME: (path below it, file outside).
    """

    folder: str
    bound: bool
    read_only: tuple[str, ...]
    home_files: tuple[tuple[str, str], ...]
    size_mib: int
    cuda: bool


def resolve(path: str) -> tuple[str, dict[str, str]]:
    """The real path, and the symbolic links met on the way to it: where each lies and what it says."""
    links: dict[str, str] = {}
    rest, at = path.strip("/").split("/")[::-1], ""
    while rest:
        name = rest.pop()
        if name in ("", "."):
            continue
        if name == "..":
            at = os.path.dirname(at).rstrip("/")
            continue
        here = f"{at}/{name}"
        if os.path.islink(here) and len(links) < 100:
            links[here] = os.readlink(here)
            if links[here].startswith("/"):
                at = ""
            rest += links[here].strip("/").split("/")[::-1]
        else:
            at = here
    return at or "/", links


def enter(layout: Layout, who: Identity) -> None:
    """Make `layout` the root of this process, which must be in mount and process namespaces of its own.

    Raises:
        OSError: the message names the step.
    """
    real, links = resolve_all((*layout.read_only, *machine_paths(cuda=layout.cuda)))
    folder, folder_links = resolve(layout.folder)
    for path in real:
        if any(_lies_in(own, [path]) for own in ("/tmp", "/dev/shm", HOME)):
            raise OSError(errno.EINVAL, f"read_only: {path} would hide the job's own folders. Name what lies below it")
    linux.keep_mounts_private()
    base = next(path for path in _BASES if os.path.isdir(path))
    linux.mount("tmpfs", base, linux.NO_SUID | linux.NO_DEV, "size=4m,nr_inodes=8192,mode=755")
    os.mkdir(base + _OLD)
    linux.pivot_root(base, base + _OLD)
    os.chdir("/")
    _make_scratch(layout, who)
    around = [path for path in real if _lies_in(folder, [path])]
    for path in around:
        _bind_read_only(path)
    _make_folder(layout, folder, who)
    for path in real:
        if path not in around and not _lies_in(path, [folder]):
            _bind_read_only(path)
    _make_devices(layout.cuda)
    _make_links(links | folder_links)
    for name, text in _ETC.items():
        os.makedirs("/etc", exist_ok=True)
        with open(f"/etc/{name}", "x", encoding="ascii") as file:
            file.write(text)
    linux.mount("proc", _made("/proc"), linux.NO_SUID | linux.NO_DEV | linux.NO_EXEC)
    for path in (_OWN, _OLD):  # not before /proc: Linux allows that where another whole /proc can be seen
        linux.unmount(path)
        os.rmdir(path)
    linux.restrict_mount("/", linux.READ_ONLY | linux.NO_SUID | linux.NO_DEV, recursive=False)
    os.chdir(folder)


@functools.cache
def resolve_all(paths: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Real paths, outermost only and parents first, and all links on the ways there."""
    links: dict[str, str] = {}
    real: list[str] = []
    for path in paths:
        target, met = resolve(path)
        links |= met
        if os.path.exists(target):
            real.append(target)
    outermost: list[str] = []
    for path in sorted(set(real)):
        if not _lies_in(path, outermost):
            outermost.append(path)
    return outermost, {at: said for at, said in links.items() if not _lies_in(at, outermost)}


def _lies_in(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _made(path: str) -> str:
    os.makedirs(path, exist_ok=True)
    return path


def _make_scratch(layout: Layout, who: Identity) -> None:
    os.mkdir(_OWN)
    size = f"size={layout.size_mib}m,nr_inodes={_INODES},mode=755"
    linux.mount("tmpfs", _OWN, linux.NO_SUID | linux.NO_DEV, size)
    for name, place, mode in (("tmp", "/tmp", 0o1777), ("shm", "/dev/shm", 0o1777), ("home", HOME, 0o700)):
        own = f"{_OWN}/{name}"
        os.mkdir(own)
        os.chmod(own, mode)
        linux.bind(own, _made(place))
    for below, outside in layout.home_files:
        target = f"{HOME}/{below}"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with suppress(FileNotFoundError):
            shutil.copyfile(_OLD + outside, target)
    give(HOME, who)


def _make_folder(layout: Layout, folder: str, who: Identity) -> None:
    if layout.bound:
        linux.bind(_OLD + folder, _made(folder))
        linux.restrict_mount(folder, linux.NO_SUID | linux.NO_DEV)
        give(folder, who)
    else:
        own = f"{_OWN}/folder"
        shutil.copytree(_OLD + folder, own, symlinks=True, ignore=_not_plain)
        give(own, who)
        linux.bind(own, _made(folder))


def _not_plain(folder: str, names: list[str]) -> Iterator[str]:
    """Sockets, pipes and devices, which cannot be copied."""
    for name in names:
        kind = os.lstat(f"{folder}/{name}").st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind) or stat.S_ISLNK(kind)):
            yield name


def give(folder: str, who: Identity) -> None:
    """Let the student own `folder` and all in it. Only root has to: an ordinary user's files are theirs already."""
    if who.privileged:
        for _, folders, files, fd in os.fwalk(folder, follow_symlinks=False):
            os.chown(fd, who.user, who.group)
            for name in folders + files:
                os.chown(name, who.user, who.group, dir_fd=fd, follow_symlinks=False)


def _make_devices(cuda: bool) -> None:
    for path in devices(cuda=cuda):
        if os.path.isdir(_OLD + path):  # /dev/nvidia-caps
            os.mkdir(path)
        elif os.path.exists(_OLD + path):
            with open(path, "x", encoding="ascii"):
                pass
        else:
            continue
        linux.bind(_OLD + path, path)
    linux.mount("devpts", _made("/dev/pts"), linux.NO_SUID | linux.NO_EXEC, "newinstance,ptmxmode=0666,mode=0620")
    os.symlink("pts/ptmx", "/dev/ptmx")
    os.symlink("urandom", "/dev/random")
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")


def _bind_read_only(path: str) -> None:
    source = _OLD + path
    if os.path.isdir(source):
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "x", encoding="ascii"):
            pass
    linux.bind(source, path)
    linux.restrict_mount(path, linux.READ_ONLY | linux.NO_SUID | linux.NO_DEV)


def _make_links(links: dict[str, str]) -> None:
    for at, said in sorted(links.items()):
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with suppress(FileExistsError):
            os.symlink(said, at)
