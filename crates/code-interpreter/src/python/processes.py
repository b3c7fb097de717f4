"""Processes of workers: the driver's side of each, and the life of process 1 of a worker's namespace."""

import json
import os
import resource
import select
import signal
import stat
import struct
import time

STATUS, OVER_MEMORY = b"s", b"m"
MEMORY_POLL_SECONDS = 0.05
CLEAR_SECONDS = 2


def _live(life):
    try:
        life()
    finally:
        os._exit(1)


class Process:
    """A worker without namespaces, seen from the driver."""

    descriptor = None  # nothing to wait for but the worker's own pipes
    over_memory = False

    def __init__(self, pid):
        self.pid = pid
        self.state = None

    def interrupt(self):
        """Tells the worker that it wrote too much."""
        try:
            os.kill(self.pid, signal.SIGUSR1)
        except ProcessLookupError:
            pass

    def ended(self):
        # Left unreaped where possible, so that its process group cannot become another's before it
        # is killed.
        if self.state is None and hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        if self.state is None:
            pid, state = os.waitpid(self.pid, os.WNOHANG)
            self.state = state if pid else None
        return self.state is not None

    def kill(self):
        """Kills the process, its group and whatever it left behind."""
        for kill in (os.killpg, os.kill):  # there is no group yet if it has only just been forked
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if self.state is None:
            self.state = os.waitpid(self.pid, 0)[1]
        kill_orphans()


def kill_orphans():
    """Ends daemons: with the driver as their subreaper they have become its children."""
    listing = "/proc/self/task/%d/children" % os.getpid()
    for _ in range(200):
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
            with open(listing) as children:
                pids = children.read().split()
        except OSError:  # no children, or no such file on this system
            return
        for pid in pids:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.001)


class FirstProcessSeen:
    """Process 1 of a worker's namespace, seen from the driver; it tells how process 2, the worker, ended."""

    def __init__(self, pid, status_r, control_w=None, answer_r=None):
        self.pid = pid
        self.descriptor = status_r
        self.control_w = control_w
        self.answer_r = answer_r
        self.state = None
        self.over_memory = False
        self.silent = False
        self.gone = False
        os.set_blocking(status_r, False)

    def interrupt(self):
        if not self.gone:
            os.kill(self.pid, signal.SIGUSR1)  # not reaped before `kill`, so the number is still its own

    def order(self, words):
        """Has process 1 do something about the others."""
        os.write(self.control_w, words.encode("ascii") + b"\n")
        os.kill(self.pid, signal.SIGUSR2)

    def clear(self, kept):
        """Ends all processes but those kept: which of them are there, and what the files are; None if it can't be done."""
        self.order("clear " + " ".join(map(str, kept)))
        poll = select.poll()
        poll.register(self.answer_r, select.POLLIN)
        if not poll.poll(CLEAR_SECONDS * 1000):
            return None
        line = os.read(self.answer_r, 1 << 16)
        return json.loads(line.decode("ascii")) if line else None

    def ended(self):
        if self.state is None and not self.silent:
            try:
                message = os.read(self.descriptor, 5)
            except BlockingIOError:
                return False
            if message[:1] == STATUS and len(message) == 5:
                self.state = struct.unpack("=i", message[1:])[0]
            else:
                self.silent = True
                self.over_memory = message[:1] == OVER_MEMORY
        return True

    def kill(self):
        """Kills the namespace: with process 1 the kernel kills all in it."""
        self.ended()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.gone = True
        if self.state is None:
            self.state = signal.SIGKILL  # as `waitpid` would have said
        for descriptor in (self.descriptor, self.control_w, self.answer_r):
            if descriptor is not None:
                os.close(descriptor)


class FirstProcess:
    """The life of process 1: mounts, the fork of the worker, reaping, and an eye on the memory of all."""

    def __init__(self, sandbox, descriptors):
        self.sandbox = sandbox
        self.descriptors = descriptors
        self.status_w = descriptors[0]
        self.control_r, self.answer_w = descriptors[1:] or (None, None)

    def live(self, life):
        _prctl("die with the driver", PR_SET_PDEATHSIG, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.status_w, 0)
        if poll.poll(0):  # nobody reads it: the driver died before that
            return
        try:
            self.proc = self.sandbox.mount_for_worker()
        except Refused as error:
            life(trouble=error)
            return
        # Blocked and waited for: a handler would let the worker run code in here.
        waited = {signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2}
        signal.pthread_sigmask(signal.SIG_BLOCK, waited)
        try:
            worker = os.fork()
        except OSError as error:
            life(trouble=error)
            return
        if worker == 0:
            for descriptor in self.descriptors + [self.proc]:
                os.close(descriptor)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, waited)
            life()
            return
        first = 0
        for descriptor in sorted(self.descriptors + [self.proc]) + [LARGEST_DESCRIPTOR]:
            os.closerange(first, descriptor)
            first = descriptor + 1
        self._watch(worker, waited)

    def _watch(self, worker, waited):
        while True:
            arrived = signal.sigtimedwait(waited, MEMORY_POLL_SECONDS)
            if arrived is not None and arrived.si_signo == signal.SIGUSR1:
                os.kill(worker, signal.SIGUSR1)
            if arrived is not None and arrived.si_signo == signal.SIGUSR2 and self.control_r is not None:
                self._obey()
            while True:
                try:
                    pid, state = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return
                if pid == worker:
                    os.write(self.status_w, STATUS + struct.pack("=i", state))
                    return
                if pid == 0:
                    break
            if self._memory() > self.sandbox.limits["total_memory_bytes"]:
                os.write(self.status_w, OVER_MEMORY)
                return

    def _obey(self):
        poll = select.poll()
        poll.register(self.control_r, select.POLLIN)
        if not poll.poll(0):  # the code sent the signal
            return
        for line in os.read(self.control_r, 1 << 12).decode("ascii").splitlines():
            verb, *pids = line.split()
            pids = [int(pid) for pid in pids]
            if verb == "clear":
                answer = {"alive": self._clear(set(pids)), "files": self._files()}
                os.write(self.answer_w, json.dumps(answer).encode("ascii") + b"\n")
            elif pids[0] > 1:
                try:
                    os.kill(pids[0], signal.SIGUSR1)
                except OSError:
                    pass

    def _clear(self, kept):
        """Kills all but `kept` and returns which of these live; none if others keep coming."""
        for _ in range(200):
            alive = {int(pid) for pid in self._pids() if not self._is_zombie(pid)}
            if alive <= kept:
                return sorted(alive)
            for pid in alive - kept:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass
            time.sleep(0.001)
        return []

    def _files(self):
        """A digest of all files, by their contents, as the code may set their times; None if they can't be read."""
        import hashlib  # loads much, for what few runs need

        digest = hashlib.blake2b()
        left = 2 * self.sandbox.limits["disk_bytes"]

        def fail(error):
            raise error

        try:
            for folder, folders, names in os.walk(self.sandbox.scratch, onerror=fail):
                folders.sort()
                for name in sorted(folders + names):
                    path = os.path.join(folder, name)
                    found = os.lstat(path)
                    digest.update(repr((path, found.st_mode, found.st_nlink, found.st_size)).encode("utf-8", "replace"))
                    if stat.S_ISLNK(found.st_mode):
                        digest.update(os.fsencode(os.readlink(path)))
                    if not stat.S_ISREG(found.st_mode):
                        continue
                    left -= found.st_size
                    if left < 0:
                        return None
                    with open(path, "rb") as file:
                        digest.update(file.read())
        except (OSError, MemoryError):
            return None
        return digest.hexdigest()

    def _memory(self):
        """Bytes that the processes of the namespace hold together, pages that they share counted once."""
        resident = {pid: self._resident(pid) for pid in self._pids()}
        total = sum(resident.values())
        if total <= self.sandbox.limits["total_memory_bytes"] or len(resident) == 1:
            return total
        # Only now, as it takes the kernel far longer.
        return sum(self._proportional(pid, most) for pid, most in resident.items())

    def _pids(self):
        return [name for name in os.listdir(self.proc) if name.isdigit() and name != "1"]

    def _read(self, path):
        """A file of /proc; nothing if the process has ended meanwhile or is closed to us."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self.proc)
            try:
                return os.read(descriptor, 1 << 14)
            finally:
                os.close(descriptor)
        except OSError:
            return b""

    def _is_zombie(self, pid):
        return self._read(pid + "/stat").rpartition(b") ")[2][:1] in (b"Z", b"X", b"")

    def _resident(self, pid):
        fields = self._read(pid + "/statm").split()
        return int(fields[1]) * resource.getpagesize() if fields else 0

    def _proportional(self, pid, most):
        for line in self._read(pid + "/smaps_rollup").splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) * 1024
        return most
