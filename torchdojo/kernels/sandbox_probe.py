"""What a sandbox on this machine really gives: build one, try to get out of it, say by name what does not hold."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torchdojo.errors import OursError
from torchdojo.kernels import landlock, linux, surroundings
from torchdojo.kernels.sandbox import LEVELS, Level

PROBE_TIMEOUT_S = 60.0

# property -> what it says of student code when it holds
PROPERTIES = {
    "files": "reads nothing but Python, the data and its own folder; writes nothing but its own",
    "network": "reaches no other machine, and no program on this one",
    "processes": "sees no other process, and reads none of their memory or environment",
    "signals": "can stop or signal no other process",
    "disk": "fills no more than its share",
    "syscalls": "cannot make the system calls that sandboxes are left by",
    "user": "runs as nobody in particular, with no rights that it could gain back",
}
# What partial promises. The rest is better than nothing, and said.
_PROMISED: dict[Level, frozenset[str]] = {
    "full": frozenset(PROPERTIES),
    "partial": frozenset({"files", "syscalls"}),
    "none": frozenset(),
}
_BY: dict[Level, dict[str, str]] = {
    "full": {
        "files": "a root folder of its own, read-only mounts, Landlock",
        "network": "a network namespace, seccomp",
        "processes": "a process namespace, Landlock, seccomp",
        "signals": "a process namespace, Landlock",
        "disk": "file systems in memory, of a size",
        "syscalls": "seccomp",
        "user": "an unused user id or a user namespace, no capabilities, no_new_privs",
    },
    "partial": {
        "files": "Landlock",
        "network": "seccomp, Landlock",
        "processes": "Landlock, seccomp",
        "signals": "Landlock",
        "disk": "a limit on each file",
        "syscalls": "seccomp",
        "user": "no capabilities, no_new_privs",
    },
    "none": dict.fromkeys(PROPERTIES, "nothing"),
}


@dataclass(frozen=True, slots=True)
class Property:
    """One promise of PROPERTIES: whether it holds, by what, and if not, what was found and what to do."""

    name: str
    holds: bool
    by: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """The best level that this machine gives, each property at that level, and why it is not a better one."""

    level: Level
    properties: tuple[Property, ...]
    missing: str
    landlock_abi: int
    cgroup_delegated: bool

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def require(level: Level, report: SandboxReport) -> None:
    """Go on only if the machine gives at least `level`.

    Raises:
        OursError: it does not; with what is missing and what to do.
    """
    if LEVELS.index(report.level) <= LEVELS.index(level):
        return
    lacking = ", ".join(one.name for one in report.properties if not one.holds)
    raise OursError(
        f"course.yml asks for `sandbox: {level}` and this machine gives {report.level}. {report.missing} "
        f"Without that these do not hold: {lacking}. `torchdojo doctor` says what each means. "
        f"Mend it, or choose less for this once: --sandbox {report.level}."
    )


def probe(read_only: Sequence[str] = (), hidden: Sequence[str] = (), *, at_most: Level = "full") -> SandboxReport:
    """Build the best sandbox that this machine gives and try to get out of it, in a process of its own (about 0.2 s).

    `read_only` is as in SandboxSpec. `hidden` are paths that student code must never reach: the gradebook, the source
    notebooks, the submissions.

    Raises:
        OursError: the probe itself failed.
    """
    missing = ""
    for level in LEVELS[LEVELS.index(at_most) :]:
        found = _ask(level, read_only, hidden)
        if trouble := found.get("trouble"):
            missing = missing or _advice(trouble["step"], trouble["code"])
            continue
        properties = tuple(_judged(name, found["broken"].get(name, ""), level) for name in PROPERTIES)
        broken = [one for one in properties if not one.holds and one.name in _PROMISED[level]]
        if not broken or level == "none":
            return SandboxReport(level, properties, missing, landlock.abi(), _cgroup_is_delegated())
        missing = missing or " ".join(one.missing for one in broken)
    raise OursError(
        "The sandbox's probe failed even without a sandbox. Run `torchdojo doctor` and report what it says."
    )


def _judged(name: str, broken: str, level: Level) -> Property:
    if not broken:
        return Property(name, True, _BY[level][name])
    return Property(name, False, _BY[level][name], broken)


def _ask(level: Level, read_only: Sequence[str], hidden: Sequence[str]) -> dict[str, Any]:
    """A new process, since only one with a single thread can fork a sandbox; it answers in JSON."""
    question = json.dumps({"level": level, "read_only": list(read_only), "hidden": list(hidden)})
    package = str(Path(__file__).resolve().parents[2])
    code = "import sys; sys.path.insert(0, sys.argv[1]); from torchdojo.kernels import sandbox_attempts as a; a.main()"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", code, package],
            input=question,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            env=surroundings.clean_environment(),
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        tail = done.stderr.strip().splitlines()[-1:] if isinstance(error, ValueError) else [str(error)]
        raise OursError(f"The sandbox's probe failed: {' '.join(tail) or 'no answer'}. Please report this.") from error
    return answer


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="ascii") as file:
        return file.read().strip()
    return ""


def _advice(step: str, code: int) -> str:
    """One sentence on why a sandbox could not be built and what to do."""
    if step.startswith("landlock"):
        return (
            "This kernel has no Landlock (Linux 5.13 or newer, with `landlock` in its lsm= list). Use a newer kernel."
        )
    if "seccomp" in step:
        return f"{step}. Grade on an x86-64 or aarch64 machine."
    if step.startswith("mount_setattr") and code == errno.ENOSYS:
        return "This kernel is too old for read-only mounts in a sandbox. Use Linux 5.12 or newer."
    if step.startswith("mount proc"):
        return (
            "A private /proc is not allowed, since the container we run in hides parts of its own. Start it with "
            "`docker run --security-opt systempaths=unconfined` or `podman run --security-opt unmask=ALL`."
        )
    if _read("/proc/sys/user/max_user_namespaces") == "0":
        return "User namespaces are switched off. As root: `sysctl -w user.max_user_namespaces=15000`."
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "User namespaces are for root only. As root: `sysctl -w kernel.unprivileged_userns_clone=1`."
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            f"AppArmor gives user namespaces no rights here. As root: `sysctl -w "
            f"kernel.apparmor_restrict_unprivileged_userns=0`, or write an AppArmor profile with `userns,` for "
            f"{os.path.realpath(sys.executable)}."
        )
    if code == errno.ENOSPC:
        return "All namespaces that this machine allows are in use. As root, raise `user.max_*_namespaces` by sysctl."
    if linux.status_field("Seccomp") != "0":
        return (
            f"The container or service we run in forbids namespaces ({step}). Start it with "
            "`docker run --security-opt seccomp=unconfined --security-opt systempaths=unconfined`."
        )
    return f"{step}. Grade as root, or on a kernel with user namespaces (CONFIG_USER_NS)."


def _cgroup_is_delegated() -> bool:
    """Whether this user could limit memory by cgroup v2. The watchdog does not need it."""
    place = next((row[3:] for row in _read("/proc/self/cgroup").splitlines() if row.startswith("0::")), None)
    folder = f"/sys/fs/cgroup{place}"
    return (
        place is not None
        and os.access(f"{folder}/cgroup.procs", os.W_OK)
        and "memory" in _read(f"{folder}/cgroup.controllers")
    )
