"""The driver's side of a forked worker: its pipes, its deadline, its end."""

import fcntl
import select
import shutil

POLL_SECONDS = 0.05
CHUNK = 1 << 16
LONGEST_EVENT = 1 << 16
REPORTS = ("ok", "exception", "timed_out", "out_of_memory", "output_limit", "failed")


class HostTrouble(Exception):
    """Something the code under test has no part in: no more processes, a full disk."""


class Capture:
    """Keeps the first `cap` bytes that come through a pipe and counts the rest."""

    def __init__(self, descriptor, cap):
        self.descriptor = descriptor
        self.cap = cap
        self.data = bytearray()
        self.total = 0
        os.set_blocking(descriptor, False)

    def read(self):
        """Takes what is there now; False at the end of the file."""
        # Bounded, so that an endless writer cannot keep the driver from its deadline.
        for _ in range(64):
            try:
                chunk = os.read(self.descriptor, CHUNK)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self.total += len(chunk)
            room = self.cap - len(self.data)
            if room > 0:
                self.data += chunk[:room]
        return True

    def take(self):
        data, over = bytes(self.data), self.total > self.cap
        self.data, self.total = bytearray(), 0
        return data, over


class Child:
    """A forked worker, seen from the driver."""

    def __init__(self, limits, folder, stdin, separate):
        self.limits = limits
        self.folder = folder
        self.alive = True
        self.state = None
        command_r, self.command_w = os.pipe()
        self.event_r, event_w = os.pipe()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        lifeline_r, self.lifeline_w = os.pipe()
        ours = [self.command_w, self.event_r, out_r, err_r, self.lifeline_w]
        theirs = [command_r, event_w, out_w, err_w, lifeline_r, stdin]
        try:
            self.pid = os.fork()
        except OSError as error:
            for descriptor in ours + theirs:
                os.close(descriptor)
            raise HostTrouble("cannot fork a process for the code: %s" % error)
        if self.pid == 0:
            try:
                for descriptor in ours:
                    os.close(descriptor)
                run_worker(limits, folder, stdin, separate, command_r, event_w, out_w, err_w, lifeline_r)
            finally:
                os._exit(1)
        for descriptor in theirs:
            os.close(descriptor)
        os.set_blocking(self.command_w, False)
        os.set_blocking(self.event_r, False)
        self.out = Capture(out_r, limits["output_bytes"])
        self.err = Capture(err_r, limits["output_bytes"])

    def ask(self, command, on_call=None):
        """Has the worker do one command; returns its event with `wall` and what it wrote.

        `on_call` answers the worker's calls, or returns None to end it. The time this takes is not the worker's.
        """
        began = time.monotonic()
        deadline = began + self.limits["wall"] + self.limits["grace"]
        pending = memoryview(json.dumps(command).encode("ascii") + b"\n")
        event = bytearray()
        over = False
        poll = select.poll()
        for descriptor in (self.out.descriptor, self.err.descriptor, self.event_r, 0):
            poll.register(descriptor, select.POLLIN)
        poll.register(self.command_w, select.POLLOUT)
        outcome = None
        while outcome is None:
            left = deadline - time.monotonic()
            if left <= 0:
                outcome = {"status": "output_limit" if over else "timed_out"}
                break
            ready = poll.poll(min(left, POLL_SECONDS) * 1000)
            for descriptor, _ in ready:
                if descriptor == 0:
                    # No request comes while one is open: the library is gone.
                    self.close()
                    leave(os.path.dirname(self.folder))
                elif descriptor == self.command_w:
                    try:
                        pending = pending[os.write(self.command_w, pending[:CHUNK]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        pending = pending[:0]
                    if not pending:
                        poll.unregister(self.command_w)
                elif descriptor == self.event_r:
                    outcome = self._read_event(event, on_call is not None)
                    if outcome is not None and "call" in outcome:
                        called = time.monotonic()
                        answer = on_call(outcome["call"])
                        waited = time.monotonic() - called
                        began, deadline = began + waited, deadline + waited
                        event.clear()
                        if answer is None:
                            outcome = {"status": "stopped"}
                            break
                        outcome = None
                        pending = memoryview(json.dumps({"answer": answer}).encode("ascii") + b"\n")
                        poll.register(self.command_w, select.POLLOUT)
                else:
                    capture = self.out if descriptor == self.out.descriptor else self.err
                    if not capture.read():
                        poll.unregister(descriptor)
                    if capture.total > capture.cap and not over:
                        over = True
                        deadline = min(deadline, time.monotonic() + self.limits["grace"])
                        try:
                            os.kill(self.pid, signal.SIGUSR1)
                        except ProcessLookupError:
                            pass
            if not ready and self._ended():
                outcome = {"status": "died"}
        self.out.read()
        self.err.read()
        outcome["wall"] = time.monotonic() - began
        outcome["hard"] = not event.endswith(b"\n")
        if outcome["hard"]:
            self._finish(outcome)
        out, out_over = self.out.take()
        err, err_over = self.err.take()
        if out_over or err_over:
            outcome["status"] = "output_limit"
        outcome["stdout"], outcome["stderr"] = out, err
        return outcome

    def _read_event(self, event, may_call):
        """The event, or the call, when its line is complete, None before."""
        try:
            chunk = os.read(self.event_r, CHUNK)
        except BlockingIOError:
            return None
        event += chunk
        if event.endswith(b"\n"):
            try:
                outcome = json.loads(bytes(event).decode("utf-8"))
                if may_call and isinstance(outcome.get("call"), str):
                    return {"call": outcome["call"]}
                if outcome["status"] in REPORTS:
                    return outcome
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                pass
            event.clear()  # the code wrote to the worker's pipe
            return {"status": "died"}
        if not chunk or len(event) > (LONGEST_CALL if may_call else LONGEST_EVENT):
            event.clear()
            return {"status": "died"}
        return None

    def _ended(self):
        # Left unreaped where possible, so that its process group cannot become another's before it
        # is killed.
        if self.state is None and hasattr(os, "waitid"):
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        if self.state is None:
            pid, state = os.waitpid(self.pid, os.WNOHANG)
            self.state = state if pid else None
        return self.state is not None

    def _finish(self, outcome):
        """Kills what is left and says how the worker ended."""
        if outcome["status"] != "died":
            self.close()
            return
        patience = time.monotonic() + 0.2  # a process closes its pipes a little before it ends
        while not self._ended() and time.monotonic() < patience:
            time.sleep(0.001)
        ended = self._ended()
        self.close()
        if not ended:
            outcome["code"] = None
        elif not os.WIFSIGNALED(self.state):
            outcome["code"] = os.WEXITSTATUS(self.state)
        elif os.WTERMSIG(self.state) == signal.SIGXCPU:
            outcome["status"] = "timed_out"
        else:
            outcome["signal"] = os.WTERMSIG(self.state)

    def is_lost(self):
        return not self.alive or self._ended()

    def close(self):
        """Kills the worker, its process group and whatever it left behind."""
        if not self.alive:
            return
        self.alive = False
        for kill in (os.killpg, os.kill):  # there is no group yet if it has only just been forked
            try:
                kill(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if self.state is None:
            self.state = os.waitpid(self.pid, 0)[1]
        for descriptor in (
            self.command_w,
            self.event_r,
            self.lifeline_w,
            self.out.descriptor,
            self.err.descriptor,
        ):
            os.close(descriptor)
        kill_orphans()


def run_worker(limits, folder, stdin, separate, command_r, event_w, out_w, err_w, lifeline_r):
    """The life of the forked process."""

    def report(line):
        while line:
            line = line[os.write(event_w, line) :]

    try:
        os.setsid()
        die_with(lifeline_r)
        os.dup2(stdin, 0)
        os.dup2(out_w, 1)
        os.dup2(err_w if separate else out_w, 2)
        for descriptor in (stdin, out_w, err_w):
            os.close(descriptor)
        worker = Worker(limits, folder)
    except BaseException as error:
        report(json.dumps({"status": "failed", "message": brief(error, 500)}).encode("ascii") + b"\n")
        return
    with io.open(command_r, "rb") as commands:
        worker.serve(commands, report)


def die_with(lifeline):
    """Has the kernel kill this process group when the driver, which holds the other end, is gone."""
    if not hasattr(fcntl, "F_SETSIG"):  # Linux
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, select.POLLIN)
    if poll.poll(0):
        os._exit(1)


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


def leave(root):
    shutil.rmtree(root, ignore_errors=True)
    os._exit(0)
