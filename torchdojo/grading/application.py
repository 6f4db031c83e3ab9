"""nbgrader's own `autograde` application as the front: every flag, alias and configuration of it works here too."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from typing import ClassVar

from nbgrader.apps.autogradeapp import AutogradeApp
from traitlets import Any, Bool, Float, Integer, Unicode, default

from torchdojo.errors import TorchdojoError
from torchdojo.grading.batch import autograde, plan
from torchdojo.grading.desk import Planned
from torchdojo.grading.early import open_pool
from torchdojo.grading.folder import CourseFolder
from torchdojo.grading.runners import placement, require_sandbox, terms_for
from torchdojo.grading.screen import Screen, as_json_plan
from torchdojo.kernels.execute import execute
from torchdojo.kernels.pool import has_gpu


class AutogradeApplication(AutogradeApp):
    """`torchdojo autograde`, with nbgrader's command line and configuration, and a few words more."""

    name = "torchdojo-autograde"
    description = "Grade an assignment, with nbgrader's gradebook and warm kernels"
    aliases: ClassVar = {
        **AutogradeApp.aliases,
        "workers": "AutogradeApplication.workers",
        "sandbox": "AutogradeApplication.sandbox",
    }
    flags: ClassVar = {
        **AutogradeApp.flags,
        "json": ({"AutogradeApplication": {"json_lines": True}}, "Print one line of JSON a submission on stdout."),
        "dry-run": ({"AutogradeApplication": {"dry_run": True}}, "Say what would be graded and why; grade nothing."),
    }

    workers = Integer(0, help="How many notebooks run at once. 0: what cores and memory allow.").tag(config=True)
    sandbox = Unicode("", help="How student code is shut in: full, partial, none. Default: course.yml's.").tag(
        config=True
    )
    isolated = Bool(
        True, help="Judge grade cells of tests for `student` in a process of their own, where they cannot be forged."
    ).tag(config=True)
    lock_wait_s = Float(60.0, help="How many seconds to wait for a gradebook that is in use.").tag(config=True)
    json_lines = Bool(False, help="Print one line of JSON a submission on stdout.").tag(config=True)
    dry_run = Bool(False, help="Say what would be graded and why; grade nothing.").tag(config=True)

    pool = Any(None, help="Where jobs run, when it was started before nbgrader was imported.")

    @default("log_level")
    def _log_level_default(self) -> int:
        return logging.ERROR  # what nbgrader tells of every step would tear the progress bar

    def start(self) -> None:
        """Grade. Leaves by SystemExit when there is something to say to a shell: 1, 2, 3 or 130."""
        super(AutogradeApp, self).start()
        ours = logging.getLogger("torchdojo")
        ours.handlers, ours.propagate = self.log.handlers, False
        ours.setLevel(self.log_level)
        self._take_the_argument()
        try:
            status = self._grade()
        except TorchdojoError as error:
            print(error, file=sys.stderr)
            status = error.exit_status
        if status:
            sys.exit(status)

    def _take_the_argument(self) -> None:
        """As nbgrader's: the assignment is an argument, or configured."""
        configured, typed = self.coursedir.assignment_id, self.extra_args
        if len(typed) > 1:
            self.fail("Only one argument (the assignment id) may be specified")
        if typed and configured:
            self.fail("The assignment cannot both be specified in config and as an argument")
        if not typed and not configured:
            self.fail("An assignment id must be specified, either as an argument or with --assignment")
        if typed:
            self.coursedir.assignment_id = typed[0]

    def _grade(self) -> int:
        folder, assignment = CourseFolder(self), self.coursedir.assignment_id
        place = placement(folder, assignment, gpu=has_gpu())
        terms = terms_for(folder, assignment, place, sandbox=self.sandbox, isolated=self.isolated)
        force = folder.converter.force
        if self.dry_run:
            return self._tell(plan(folder, assignment, terms, force=force))
        quiet = self.log_level >= logging.CRITICAL
        require_sandbox(folder, assignment, terms)
        if terms.sandbox == "none" and not quiet:
            print("Student code is not shut in (sandbox: none), as with nbgrader.", file=sys.stderr)
        jobs = len(folder.submissions(assignment))
        pool = self.pool or open_pool(self.workers, terms.preload, jobs, terms.limits(1).memory_mib)
        with pool, Screen(assignment, quiet=quiet, json_lines=self.json_lines) as screen:
            report = autograde(
                folder,
                assignment,
                executor=pool,
                execute=execute,
                terms=terms,
                ahead=2 * pool.workers + 2,
                force=force,
                lock_wait_s=self.lock_wait_s,
                watch=screen,
            )
            if report.remaining:
                pool.shutdown(cancel_futures=True)
        screen.summary(report)
        return report.exit_status

    def _tell(self, planned: Sequence[Planned]) -> int:
        for each in planned:
            if self.json_lines:
                print(json.dumps(as_json_plan(each)))
            else:
                print(f"{each.submission.student}: {each.why or 'graded, unchanged'}")
        return 0
