"""The probe says what a machine gives by trying it, and what to do about the rest."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.kernels.sandbox_client import ROOT, as_ordinary_user
from torchdojo.errors import OursError
from torchdojo.kernels import landlock, sandbox_probe
from torchdojo.kernels.sandbox_probe import PROPERTIES, Property, SandboxReport, probe, require

SHOW = "import json; from torchdojo.kernels.sandbox_probe import probe; print(json.dumps(probe().to_plain()))"
NO_NAMESPACES = """
from torchdojo.kernels import linux, seccomp
linux.prctl(linux.NO_NEW_PRIVILEGES, 1)
for name in list(seccomp.NUMBERS):
    if name != "unshare":
        del seccomp.NUMBERS[name]
for name in ("socket", "socketpair", "ioctl", "prctl"):
    seccomp.BY_ARGUMENT[name] = (100_000, 100_000)
seccomp.restrict(namespaces=True, memory_files=True)
"""


def _report(command: list[str], script: str = SHOW) -> SandboxReport:
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    done = subprocess.run([*command, "-c", script], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return SandboxReport(**found | {"properties": tuple(Property(**one) for one in found["properties"])})


@pytest.fixture(scope="module")
def here() -> SandboxReport:
    """The report of this machine, for this user."""
    return probe()


def test_full_means_that_every_promise_was_tried_and_holds(here: SandboxReport) -> None:
    """On a machine that gives full, nothing is missing; on another, the reason is a sentence."""
    assert [one.name for one in here.properties] == list(PROPERTIES)
    if here.level == "full":
        assert all(one.holds and not one.missing for one in here.properties)
        assert here.missing == ""
    else:
        assert here.missing.endswith(".")


def test_an_ordinary_user_is_asked_alike(here: SandboxReport) -> None:
    """Root and an ordinary user of this machine get the same level."""
    assert _report(as_ordinary_user()).level == here.level


def test_partial_says_what_it_does_not_keep() -> None:
    """Socket files, the sight of processes and the disk are open without namespaces, and said to be."""
    report = probe(at_most="partial")
    if landlock.abi() < 6:
        pytest.skip("Landlock here is older than what partial is written for")
    assert report.level == "partial"
    broken = {one.name: one.missing for one in report.properties if not one.holds}
    assert {"processes", "disk"} <= set(broken) <= {"network", "processes", "disk", "user"}
    assert all("full" in sentence for sentence in broken.values())
    assert {"files", "syscalls", "signals"} <= {one.name for one in report.properties if one.holds}


def test_none_keeps_nothing() -> None:
    """Each attempt succeeds without a sandbox: the probe can tell."""
    report = probe(at_most="none")
    assert report.level == "none"
    assert not [one.name for one in report.properties if one.holds]


def test_a_gradebook_where_jobs_can_read_is_found_out() -> None:
    """A path that must stay hidden and lies below a readable one costs the level, with the path in the sentence."""
    tmp_path = Path(tempfile.mkdtemp())  # pytest's own lie in a folder that nobody else may enter
    tmp_path.chmod(0o755)
    gradebook = tmp_path / "gradebook.db"
    gradebook.write_text("")
    assert probe(hidden=[str(gradebook)]).level != "none"
    report = probe(read_only=[str(tmp_path)], hidden=[str(gradebook)])
    assert report.level == "none"
    assert str(gradebook) in report.missing
    shutil.rmtree(tmp_path)


def test_without_namespaces_it_is_partial_and_says_why(here: SandboxReport) -> None:
    """In a container that forbids namespaces the sentence names the option to start it with."""
    if here.level != "full" or landlock.abi() < 6:
        pytest.skip("this machine is such a container itself, or its Landlock is too old")
    report = _report([sys.executable], NO_NAMESPACES + SHOW)
    assert report.level == "partial"
    assert "--security-opt seccomp=unconfined" in report.missing


@pytest.mark.parametrize(
    ("meanwhile", "sentence"),
    [
        ("echo 0 > /proc/sys/user/max_user_namespaces", "sysctl -w user.max_user_namespaces"),
        ("mount -t tmpfs tmpfs /proc/sys", "systempaths=unconfined"),
    ],
    ids=["switched off", "masked"],
)
def test_a_machine_that_lacks_something_is_told_which(here: SandboxReport, meanwhile: str, sentence: str) -> None:
    """User namespaces switched off, and a container that hides parts of /proc: made here, inside a namespace."""
    if here.level != "full" or not shutil.which("unshare") or landlock.abi() < 6:
        pytest.skip("needs namespaces to be given, and util-linux, so that they can be taken away")
    script = f"{meanwhile} && exec {sys.executable} -c '{SHOW}'"
    env = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
    command = ["unshare", "-Urmpf", "--mount-proc", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["level"] == "partial"
    assert sentence in found["missing"]


@pytest.mark.parametrize(
    ("step", "code", "files", "sentence"),
    [
        ("mount_setattr /usr: x", errno.ENOSYS, {}, "Linux 5.12"),
        ("landlock: not in this kernel", errno.ENOSYS, {}, "Linux 5.13"),
        ("seccomp: there is no table for riscv64 machines", errno.ENOSYS, {}, "aarch64"),
        ("clone3: x", errno.EPERM, {"/proc/sys/kernel/unprivileged_userns_clone": "0"}, "unprivileged_userns_clone=1"),
        (
            "mount tmpfs at /tmp: x",
            errno.EACCES,
            {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
            "AppArmor",
        ),
        ("clone3: x", errno.ENOSPC, {}, "in use"),
    ],
)
def test_each_cause_has_its_remedy(
    monkeypatch: pytest.MonkeyPatch, step: str, code: int, files: dict[str, str], sentence: str
) -> None:
    """What cannot be made to happen here is told by what the machine's files say."""
    monkeypatch.setattr(sandbox_probe, "_read", lambda path: files.get(path, ""))
    assert sentence in sandbox_probe._advice(step, code)


def test_grading_refuses_to_start_at_less_than_the_course_asks_for() -> None:
    """require raises with what is missing and the way out; the same or better passes."""
    broken = (
        Property("network", False, "Landlock", "Socket files can be reached."),
        Property("files", True, "Landlock"),
    )
    report = SandboxReport("partial", broken, "User namespaces are switched off.", 7, False)
    require("partial", report)
    require("none", report)
    with pytest.raises(OursError, match=r"(?s)full.*switched off.*network.*--sandbox partial"):
        require("full", report)
    assert pickle.loads(pickle.dumps(report)) == report
