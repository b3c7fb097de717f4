"""The driver's side of a forked worker: its pipes, its deadline, its end."""

import fcntl
import select
import socket

POLL_SECONDS = 0.05
CHUNK = 1 << 16
LONGEST_EVENT = 1 << 16
REPORTS = ("ok", "exception", "timed_out", "out_of_memory", "output_limit")
READY = b"ready"


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


class Garbled(Exception):
    """What came through an event pipe is no event, or comes when none can."""


class Events:
    """Lines through a worker's event pipe. Only the first is surely the worker's own: later the code can write here too."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.data = bytearray()
        os.set_blocking(descriptor, False)

    def next(self, longest):
        """The next line of at most `longest` bytes, None if there is none yet."""
        if b"\n" not in self.data:
            try:
                chunk = os.read(self.descriptor, CHUNK)
            except BlockingIOError:
                return None
            self.data += chunk
            if not chunk or (b"\n" not in self.data and len(self.data) > longest):
                raise Garbled
        line, end, rest = self.data.partition(b"\n")
        if not end:
            return None
        self.data = rest
        return bytes(line)

    def is_empty(self):
        try:
            return not self.data and self.next(LONGEST_EVENT) is None and not self.data
        except Garbled:
            return False


def checked(line, key, may_call):
    """An event of the worker, made anew of nothing but what is expected."""
    try:
        event = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Garbled
    if not isinstance(event, dict) or event.get("key") != key:
        raise Garbled
    if may_call and isinstance(event.get("call"), str):
        return {"call": event["call"]}
    if event.get("status") not in REPORTS:
        raise Garbled
    outcome = {"status": event["status"]}
    for name in ("kind", "message"):
        if isinstance(event.get(name), str):
            outcome[name] = event[name][: 2 * LONGEST_MESSAGE]
    return outcome


class Child:
    """A forked worker, seen from the driver. `root` is removed when the library is gone."""

    def __init__(self, fork, sandbox, limits, folder, stdin, separate, root, forkable=False):
        """`fork` runs the worker's life in a process, or hands the descriptors given to it to one."""
        self.limits = limits
        self.folder = folder
        self.root = root
        self.alive = True
        self.ready = False
        command_r, self.command_w = os.pipe()
        event_r, event_w = os.pipe()
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        if forkable:  # it gets descriptors through it
            lifeline_r, self.lifeline_w = (end.detach() for end in socket.socketpair())
        else:
            lifeline_r, self.lifeline_w = os.pipe()
        ours = [self.command_w, event_r, out_r, err_r, self.lifeline_w]
        theirs = [command_r, event_w, out_w, err_w, lifeline_r, stdin]

        def life(trouble=None):
            for descriptor in ours:
                os.close(descriptor)
            run_worker(sandbox, limits, folder, separate, forkable, theirs, trouble)

        try:
            self.process = fork(life, theirs)
        except OSError as error:
            for descriptor in ours + theirs:
                os.close(descriptor)
            raise HostTrouble("cannot fork a process for the code: %s" % error)
        for descriptor in theirs:
            os.close(descriptor)
        os.set_blocking(self.command_w, False)
        self.events = Events(event_r)
        self.out = Capture(out_r, limits["output_bytes"])
        self.err = Capture(err_r, limits["output_bytes"])

    def ask(self, command, on_call=None, patience=None):
        """Has the worker do one command; returns its event with `wall` and what it wrote. It is killed `patience` seconds
        later, or a little after its limit of time.

        `on_call` answers the worker's calls, or returns None to end it. The time this takes is not the worker's.
        """
        began = time.monotonic()
        deadline = began + (self.limits["wall"] + self.limits["grace"] if patience is None else patience)
        key = os.urandom(8).hex()
        pending = memoryview(json.dumps(dict(command, key=key)).encode("ascii") + b"\n")
        over = False
        poll = select.poll()
        for descriptor in (self.out.descriptor, self.err.descriptor, self.events.descriptor, 0):
            poll.register(descriptor, select.POLLIN)
        if self.process.descriptor is not None:
            poll.register(self.process.descriptor, select.POLLIN)
        poll.register(self.command_w, select.POLLOUT)
        outcome, hard = None, True
        if self.ready and not self.events.is_empty():
            outcome = {"status": "died"}  # the code wrote to the worker's pipe after its cell had ended
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
                    leave(self.root)
                elif descriptor == self.command_w:
                    try:
                        pending = pending[os.write(self.command_w, pending[:CHUNK]) :]
                    except BlockingIOError:
                        continue
                    except OSError:
                        pending = pending[:0]
                    if not pending:
                        poll.unregister(self.command_w)
                elif descriptor == self.events.descriptor:
                    try:
                        outcome = self._read_event(key, on_call is not None)
                    except Garbled:
                        outcome = {"status": "died"}
                        break
                    if outcome is not None and "call" in outcome:
                        called = time.monotonic()
                        answer = on_call(outcome["call"])
                        waited = time.monotonic() - called
                        began, deadline = began + waited, deadline + waited
                        if answer is None:
                            outcome = {"status": "stopped"}
                            break
                        outcome = None
                        pending = memoryview(json.dumps({"answer": answer}).encode("ascii") + b"\n")
                        poll.register(self.command_w, select.POLLOUT)
                    hard = outcome is None
                elif descriptor == self.process.descriptor:
                    poll.unregister(descriptor)
                else:
                    capture = self.out if descriptor == self.out.descriptor else self.err
                    if not capture.read():
                        poll.unregister(descriptor)
                    if capture.total > capture.cap and not over:
                        over = True
                        deadline = min(deadline, time.monotonic() + self.limits["grace"])
                        self.process.interrupt()
            # What it wrote before its end is read first.
            if outcome is None and all(which == self.process.descriptor for which, _ in ready) and self.process.ended():
                outcome = {"status": "died"}
        self.out.read()
        self.err.read()
        outcome["wall"] = time.monotonic() - began
        outcome["hard"] = hard
        if hard:
            self._finish(outcome)
        out, out_over = self.out.take()
        err, err_over = self.err.take()
        if out_over or err_over:
            outcome["status"] = "output_limit"
        outcome["stdout"], outcome["stderr"] = out, err
        return outcome

    def _read_event(self, key, may_call):
        """The event, or the call, when its line is complete, None before."""
        longest = LONGEST_CALL if may_call else LONGEST_EVENT
        line = self.events.next(longest)
        if line is not None and not self.ready:
            if line != READY:
                message = line.decode("utf-8", "replace")
                self.close()
                raise HostTrouble("cannot prepare the process for the code: %s" % message)
            self.ready = True
            line = self.events.next(longest)
        if line is None:
            return None
        outcome = checked(line, key, may_call)
        if not self.events.is_empty():
            raise Garbled
        return outcome

    def _finish(self, outcome):
        """Kills what is left and says how the worker ended."""
        if outcome["status"] != "died":
            self.close()
            return
        patience = time.monotonic() + 0.2  # a process closes its pipes a little before it ends
        while not self.process.ended() and time.monotonic() < patience:
            time.sleep(0.001)
        ended = self.process.ended()
        self.close()
        if not self.ready:
            raise HostTrouble("the process for the code ended before it was ready")
        state = self.process.state
        if self.process.over_memory:
            outcome["status"] = "out_of_memory"
        elif not ended:
            outcome["code"] = None
        elif not os.WIFSIGNALED(state):
            outcome["code"] = os.WEXITSTATUS(state)
        elif os.WTERMSIG(state) == signal.SIGXCPU:
            outcome["status"] = "timed_out"
        else:
            outcome["signal"] = os.WTERMSIG(state)

    def is_lost(self):
        return not self.alive or self.process.ended()

    def close(self):
        """Kills the worker and whatever it left behind."""
        if not self.alive:
            return
        self.alive = False
        self.process.kill()
        for descriptor in (
            self.command_w,
            self.events.descriptor,
            self.lifeline_w,
            self.out.descriptor,
            self.err.descriptor,
        ):
            os.close(descriptor)


def run_worker(sandbox, limits, folder, separate, forkable, descriptors, trouble):
    """The life of the forked process. Its first line says whether it is ready; no code has run by then."""
    command_r, event_w, out_w, err_w, lifeline_r, stdin = descriptors

    def report(line):
        while line:
            line = line[os.write(event_w, line) :]

    try:
        if trouble is not None:
            raise trouble
        os.setsid()
        # First out of the way of the numbers that they are to have.
        kept = [fcntl.fcntl(old, fcntl.F_DUPFD, 6) for old in (command_r, event_w, lifeline_r)]
        for old, new in ((stdin, 0), (out_w, 1), (err_w if separate else out_w, 2)):
            os.dup2(old, new)
        command_r, event_w, lifeline_r = 3, 4, 5
        for old, new in zip(kept, (command_r, event_w, lifeline_r)):
            os.dup2(old, new, inheritable=False)
        if not sandbox.isolated:
            die_with(lifeline_r)
        elif not forkable:  # process 1 takes all along
            os.close(lifeline_r)
        os.closerange(6, LARGEST_DESCRIPTOR)
        worker = Worker(limits, folder)
        worker.narrow = sandbox.narrow
        sandbox.confine(folder)
    except BaseException as error:
        report(brief(error, 500).replace("\n", " ").encode("utf-8", "replace") + b"\n")
        return
    report(READY + b"\n")
    with io.open(command_r, "rb") as commands:
        worker.serve(commands, report, READY + b"\n")


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


def leave(root):
    if root is not None:
        remove_tree(root)
    os._exit(0)
