"""One job's life: its terminal, its log, its end. One runner process for each job.

Invariants
- The runner is nobody's child and hears no signal but TERM; only SIGKILL ends it before its job.
- The job begins after the ledger says so, and the ledger says so for one runner only.
- Log first, then views. The result is on disk before the state says ended, the log before the result.
- When the command has exited, what is left of its tree is ended too, unless the job keeps its children.
- SIGTERM to the runner means that the host is going down: the job is ended and said to be a victim of that.
"""

from __future__ import annotations

import errno
import os
import resource  # noqa: F401  (os.wait4 looks for it: here it is found once, by the supervisor)
import select
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterable
from typing import Callable, Optional

from . import (
    badness,
    cgroup,
    files,
    freezer,
    given,
    joblog,
    layout,
    locks,
    outofmemory,
    procs,
    recorder,
    request,
    supervision,
    terminal,
    tree,
    trouble,
    usage,
    wire,
    workplace,
)
from .audience import Audience
from .joblog import JobLog
from .launch import detach
from .ledger import Record, Start, open_ledger
from .logcap import Cap
from .mask import Mask
from .mend import healed
from .model import CODE_ENV, COMPLETED, JOB_ENV, NODE_FAIL, OUT_ENV, Ended, Refusal, Result
from .restore import catch_up
from .state import verdict

_BATCH = 1 << 18
_LAST_LOOK = 1.0
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
"""What a host lacks for a while: no fault of the job."""
_REST = 1.0
"""Seconds before another try."""
_FOR_ROOM = 3.0
"""The same for a job whose code does not fit on the disk."""
_MOMENT = 0.05
"""Seconds for which something is held back that may be the beginning of a secret, where it is too short to be one."""
_AT_ONCE = ("guard", "limit")
"""Who ended a command for want of memory has its whole tree killed at once."""


def main(record: Record) -> None:
    """Run a job that was admitted, unless somebody else does or did. In a fork of the supervisor, with its signals."""
    procs.call_me("orch " + record.ref)
    _try(record)


def _try(record: Record) -> None:
    try:
        _make_room(record.id)
        if record.spec.code is not None and not _has_code(record):
            return
        os.chdir(layout.job_dir(record.id))
        runner = Runner(record, given.to(record))
    except given.Lacking as lacking:
        why = str(lacking)
        healed(lambda: _put_off(record, why))
        supervision.poke()
    except OSError as error:
        if error.errno in _PASSING:
            time.sleep(_REST)
            return  # the job stays pending, and the supervisor tries again
        _give_up(record, "it could not be started: %s" % error)
    else:
        runner.run()


def _give_up(record: Record, why: str) -> None:
    with open_ledger() as ledger:
        ledger.settle_unstarted(record.id, Ended(time.time(), Result(NODE_FAIL, reason=why)))
    supervision.poke()


def _has_code(record: Record) -> bool:
    """Whether its code is laid out: all of it. If not, the job has ended, or stays pending."""
    from . import checkout  # most jobs come without

    try:
        checkout.prepare(record, lambda: healed(lambda: _is_pending(record)))
        return True
    except checkout.Unwanted:
        return False
    except Refusal as refusal:
        _give_up(record, "its code cannot be laid out: %s" % refusal.message)
        return False
    except OSError as error:
        if error.errno not in checkout.FULL:
            raise
        time.sleep(_FOR_ROOM)  # whoever tries has to look at much
        return False


def _is_pending(record: Record) -> bool:
    with open_ledger() as ledger:
        now = ledger.get(record.id)
    return now is not None and now.is_pending


def _put_off(record: Record, why: str) -> None:
    with open_ledger() as ledger:
        given.put_off(ledger, record, why)


def _make_room(job_id: str) -> None:
    """Its directory, with one in it for what it puts out, which attempts share: whatever they have made of it."""
    try:
        os.makedirs(layout.out_dir(job_id), mode=0o700, exist_ok=True)
    except FileExistsError:
        pass


class Runner:
    """Owns one job."""

    def __init__(self, record: Record, secrets: given.Given) -> None:
        self.record = record
        self.spec = record.spec
        cap = Cap(record.id, record.log_path, self.spec.log_max)
        self.log = JobLog(record.log_path, layout.times_file(record.id), cap)
        # Early: what we touch before it, the kernel copies once more after it. A terminal cannot be shared with a
        # plain file: without one the job writes the log itself, unless that must not show its secrets.
        self.is_subreaper = tree.become_subreaper()
        self.secrets = secrets.variables
        self.mask = Mask(secrets.hidden) if secrets.hidden else None
        target = terminal.TERMINAL if self.spec.tty else terminal.PIPE if self.mask else self.log.fd
        self.child = terminal.prepare(self._begin, target, hears_hangup=not self.spec.keep_children)
        self.room = files.Reserved(layout.result_file(record.id))
        self.ending: Optional[tree.Ending] = None
        self.cause: Optional[str] = None
        self.why: Optional[str] = None
        self.wait_status: Optional[int] = None
        self.is_judged = False
        self.is_settled = False
        self.quiet_since = self.release_at = time.monotonic()

    # Beginning

    def run(self) -> None:
        """The whole life."""
        process = procs.inspect(self.child.pid)
        birth = process.birth if process else ""
        if not healed(lambda: self._claim(birth)):
            self.room.give_back()
            return  # our child sees its gate close and ends
        if self.record.attempt > 1:
            recorder.forget(self.record.id)
        self.recorder = recorder.Recorder(self.record)
        self.usage_fd = usage.open_file(layout.usage_file(self.record.id))
        self.sampler = usage.Sampler(self.group)
        root = (self.child.pid, birth)
        self.tree = tree.Tree(self.record.id, root, self.group, os.getpid() if self.is_subreaper else None)
        self.memory = outofmemory.Limit(self.record, self.group)
        self._listen()
        now = time.monotonic()
        self.ends_at = now + (self.spec.timeout or float("inf"))
        self.next_sample = now + usage.SHORTEST
        self.child.let_go()
        while not self._over():
            self._turn()
        self._finish()

    def _claim(self, birth: str) -> bool:
        with open_ledger() as ledger, ledger.transaction():
            now = ledger.get(self.record.id)
            if now is not None and (now.pid, now.birth) == (self.child.pid, birth) and now.ended_at is None:
                self.record = now  # said once, to a ledger that was put aside: the new one has it from our lock
                return True
            if now is None or not now.is_pending or now.attempt != self.record.attempt:
                return False
            if catch_up(ledger, now):
                return False  # a ledger that has lost what it was told last: it has begun
            self.group = cgroup.create(self.record.id)
            path = self.group.path if self.group else None
            start = Start(time.time(), self.child.pid, birth, procs.boot_id(), path)
            # Should the ledger be lost, the lock's own text tells what was started.
            self.told = wire.start_to_json(start._asdict(), now.attempt + 1, os.getpid())
            self.lock = locks.hold(layout.lock_file(self.record.id), self.told)
            if not ledger.claim(self.record.id, start):
                locks.withdraw(layout.lock_file(self.record.id), self.lock)
                return False
            self.record = ledger.get(self.record.id) or now
            return True

    def _begin(self) -> None:
        """In the child, once let go."""
        os.umask(detach.original_umask)
        group = cgroup.create(self.record.id)  # made since we were forked; this finds it
        if group is not None:
            group.enter()
        badness.expose()
        os.chdir(workplace.directory(self.record))
        words = terminal.shell_words(self.spec.command, os.path.join(layout.job_dir(self.record.id), "command"))
        # The shell is found on our PATH: the job's own may lead nowhere.
        os.execve(shutil.which(words[0]) or "/bin/bash", words, self._environment())

    def _environment(self) -> dict[str, str]:
        return {
            **detach.environment(),
            **self.secrets,
            "TERM": "xterm-256color" if self.spec.tty else "dumb",
            **self.spec.env,
            **identity(self.record),
        }

    def _listen(self) -> None:
        """Hear children, signals, the terminal and the audience, all in one poll."""
        self.poll = select.poll()
        self.wake, wake = os.pipe()
        for fd in (self.wake, wake):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._end("host", tree.SURVIVORS_GRACE))
        self.poll.register(self.wake, select.POLLIN)
        if self.child.output is not None:
            self.poll.register(self.child.output, select.POLLIN)
        self.audience = Audience(self.poll, self.log, self.child.master)

    # The loop

    def _turn(self) -> None:
        for fd, event in self.poll.poll(max(0.0, self._patience()) * 1000):
            if fd == self.child.output:
                if event & ~select.POLLOUT:
                    self._relay()
            elif fd == self.wake:
                _drain(fd)
            else:
                self._heed(self.audience.attend(fd))
        self._reap()
        self._tick()
        self.audience.serve()

    def _patience(self) -> float:
        """Seconds until something is due by itself."""
        ending = self.ending is not None or self.wait_status is not None
        now = time.monotonic()
        due = min(self.next_sample - now, max(0.01, self.ends_at - now), self.audience.patience())
        if self.child.output is None:
            due = min(due, self.log.patience())
        if self.mask and self.mask.waits:
            due = min(due, self.release_at - now)
        return min(due, tree.STEP) if ending else due

    def _relay(self, limit: int = _BATCH) -> bool:
        """Terminal to log, as much as there is; whether anything came."""
        assert self.child.output is not None
        chunks: list[bytes] = []
        amount = 0
        try:
            while amount < limit:
                data = os.read(self.child.output, 65536)
                chunks.append(data)
                amount += len(data)
        except OSError:
            pass  # nothing more for now
        if chunks:
            self.quiet_since = time.monotonic()
            self._write(b"".join(chunks))
        return bool(chunks)

    def _write(self, data: bytes) -> None:
        if self.mask:
            data = self.mask.feed(data)
            self.release_at = self.quiet_since + _MOMENT
        if data:
            self.log.write(data)

    def _release(self) -> None:
        """Write what was held back for long enough."""
        assert self.mask is not None
        self.release_at = float("inf")
        data = self.mask.release()
        if data:
            self.log.write(data)

    def _reap(self) -> None:
        try:
            while True:
                pid, status, used = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid not in self.tree.strangers:
                    self.sampler.reaped_cpu += used.ru_utime + used.ru_stime
                if pid == self.child.pid:
                    self.wait_status = status
        except ChildProcessError:
            pass  # nobody is left

    def _tick(self) -> None:
        now = time.monotonic()
        if self.child.output is None:
            self._follow_file()
        if self.mask and self.mask.waits and now >= self.release_at:
            self._release()
        if now >= self.ends_at:
            self._end("timeout", tree.TIMEOUT_GRACE)
        if now >= self.next_sample:
            self.next_sample = now + _REST
            self._heed(request.read(self.record.id))
            try:
                self._look_after(now)
            except Exception as error:  # the job, its log and its end come before whatever was to be seen of it
                trouble.complain(error, self.record.ref)

    def _look_after(self, now: float) -> None:
        if not self.is_settled:  # no job of a moment: of those there may be thousands of one name
            self.is_settled = True
            joblog.point(layout.log_link(self.record.name), self.record.log_path)
        self.lock = locks.hold_again(layout.lock_file(self.record.id), self.lock, self.told)
        self.log.retry()
        supervision.ensure()
        self._sample(now)
        self._mind_memory(self.sampler.last.mem_bytes)

    def _sample(self, now: float) -> None:
        members = self.tree.members().values()
        used = self.sampler.sample(members, self._waits(now, members))
        usage.write(self.usage_fd, self.recorder.note(used, members, self.log.size + self.log.lost))
        if self.recorder.why_end is not None:
            self._end("stall", tree.TIMEOUT_GRACE, self.recorder.why_end)

    def _mind_memory(self, used: int) -> None:
        ran_out = self.memory.exceeded(used)
        if ran_out is not None:
            self.sampler.note(ran_out.used)
            self._end(ran_out.cause, 0.0, ran_out.why)
        freezer.thaw_forgotten(self.record, self.tree)
        self.next_sample = time.monotonic() + min(self.sampler.interval, self.memory.pause(used))

    def _follow_file(self) -> None:
        """Without a terminal the job writes its log itself: note how far it is."""
        before = self.log.size
        self.log.measure()
        if self.log.size != before:
            self.log.stamp(before)

    def _waits(self, now: float, members: Iterable[procs.Process]) -> Optional[bool]:
        """Whether the job waits for somebody to type."""
        if self.child.master is None:
            return False
        try:
            group = os.tcgetpgrp(self.child.master)
        except OSError:
            return None
        tail = os.pread(self.log.fd, 1, max(0, self.log.size - 1))
        prompted = now - self.quiet_since > 1 and tail not in (b"", b"\n", b"\r")
        # Any process in the foreground may sit in a read; only of the first is it told by what it waits for at large.
        terminal = self.child.terminal
        return procs.waits_for_terminal(group, terminal, prompted) or any(
            procs.waits_for_terminal(one.pid, terminal, False) for one in members if one.group == group != one.pid
        )

    # Ending

    def _heed(self, grace: Optional[float]) -> None:
        if grace is not None:
            self._end("cancel", grace)

    def _end(self, cause: str, grace: float, why: Optional[str] = None) -> None:
        if self.wait_status is None and self.cause is None:
            self.cause, self.why = cause, why
        if self.ending is None:
            self.ending = tree.Ending(self.tree, grace)
        else:
            self.ending.hurry(grace)

    def _over(self) -> bool:
        """Whether the command has exited and its tree is gone, or may stay."""
        if self.wait_status is None:
            if self.ending is not None:
                self.ending.step()
            return False
        if not self.is_judged:
            self.is_judged = True
            self._find_out()
        if self.ending is None:
            if self.spec.keep_children or not self.tree.members(thorough=True):
                return True
            self.ending = tree.Ending(self.tree, 0.0 if self.cause in _AT_ONCE else tree.SURVIVORS_GRACE)
        return self.ending.step()

    def _find_out(self) -> None:
        """Whether the command ended for want of memory, where it is not known yet what ended it."""
        ran_out = self.memory.end(*self._exit()) if self.cause is None else None
        if ran_out is not None:
            self.cause, self.why = ran_out.cause, ran_out.why
            self.sampler.note(ran_out.used)

    def _exit(self) -> tuple[Optional[int], Optional[int]]:
        """The exit status of the command, or the signal that ended it."""
        assert self.wait_status is not None
        if os.WIFEXITED(self.wait_status):
            return os.WEXITSTATUS(self.wait_status), None
        return None, os.WTERMSIG(self.wait_status)

    def _finish(self) -> None:
        if self.child.output is not None:
            until = time.monotonic() + _LAST_LOOK
            while self._relay() and time.monotonic() < until:
                pass
        if self.mask and self.mask.waits:
            self.log.write(self.mask.finish())
        end = Ended(time.time(), self._result(self.log.finish()))
        if end.result.state != COMPLETED:
            self.recorder.close()
        self._write_down(end)
        self.audience.farewell(_LAST_LOOK)
        for path in (layout.usage_file(self.record.id), layout.frozen_file(self.record.id)):
            files.remove(path)  # the result has the final account
        if not self.spec.keep_children:
            _remove_empty(layout.out_dir(self.record.id))
        if self.group is not None:
            self.group.remove()

    def _write_down(self, end: Ended) -> None:
        """In the result file. The supervisor brings it into the ledger, for all who end at once; without one, we do."""
        is_written = self._has_done(self._fill_room, end)
        if not supervision.poke() or not is_written:
            self._has_done(self._settle, end)
            supervision.poke()

    def _has_done(self, place: Callable[[Ended], None], end: Ended) -> bool:
        try:
            place(end)
            # Once the end is known; not last of all, or a runner killed here would leave its lock for ever.
            locks.release(self.record.id)
            return True
        except (Refusal, sqlite3.Error, OSError) as error:
            trouble.complain(error, self.record.ref)
            return False

    def _fill_room(self, end: Ended) -> None:
        self.room.write(wire.result_to_json(end.at, end.result, self.record.started_at))

    def _settle(self, end: Ended) -> None:
        def write() -> None:
            with open_ledger() as ledger:
                ledger.settle(self.record, end)

        healed(write)

    def _result(self, lost: int) -> Result:
        code, number = self._exit()
        left = self.ending.asked if self.ending is not None else 0
        state, reason = verdict(self.cause, code, number, left, self.why)
        final = self.sampler.sample(self.tree.members().values(), None)
        peak, cpu = final.mem_peak_bytes or None, round(final.cpu_seconds, 3)
        return Result(state, code, number, reason, peak, cpu, lost, self.record.attempt, self.cause)


def identity(record: Record) -> dict[str, str]:
    """The variables that tell a job, whose attempt is about to begin, who it is."""
    words = (record.id, record.ref, record.name, str(record.run), str(record.attempt + 1))
    known = {**dict(zip(JOB_ENV, words)), OUT_ENV: layout.out_dir(record.id)}
    if record.task is not None:
        known[JOB_ENV[len(words)]] = str(record.task)
    code = record.spec.code or {}
    for variable, key in zip(CODE_ENV, ("commit", "head", "branch")):
        if isinstance(code.get(key), str):
            known[variable] = code[key]
    return known


def _remove_empty(directory: str) -> None:
    """Of thousands of small jobs none leaves a directory for nothing."""
    try:
        os.rmdir(directory)
    except OSError:
        pass


def _drain(fd: int) -> None:
    try:
        while os.read(fd, 4096):
            pass
    except OSError:
        pass
