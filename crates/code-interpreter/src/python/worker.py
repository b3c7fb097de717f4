"""What the forked child does: cells with notebook semantics, or one whole program."""

import ast
import atexit
import builtins
import io
import json
import linecache
import os
import random
import resource
import signal
import socket
import struct
import sys
import time
import types

LONGEST_MESSAGE = 500
LONGEST_CALL = 16 << 20
# Room above the memory limit, opened only while a MemoryError is written down.
REPORT_BYTES = 16 * 1024 * 1024


class Stopped(BaseException):
    """A limit was reached. Not an `Exception`, so that `except Exception` does not swallow it."""


class Worker:
    """Lives in the child. `limits` is the driver's configuration."""

    def __init__(self, limits, folder):
        self.limits = limits
        self.pid = os.getpid()
        self.running = False
        self.stop = None
        self.count = 0
        self.address_space = limits["address_space"]
        self.driver = sys.modules["__main__"]  # kept, or its globals could be cleared
        self.main = types.ModuleType("__main__")
        self.main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = self.main
        sys.argv = [""]
        os.chdir(folder)
        os.environ["HOME"] = os.environ["TMPDIR"] = folder
        # The same code prints the same, whatever ran before it in this driver.
        random.seed(0)
        for name in ("exit", "quit"):  # `site` defines these, and `-S` leaves it out
            if not hasattr(builtins, name):
                setattr(builtins, name, sys.exit)
        self._limit_resources()
        self._catch_signals()

    def _limit_resources(self):
        limits = self.limits
        _set_limit(resource.RLIMIT_CORE, 0, 0)
        _set_limit(resource.RLIMIT_FSIZE, limits["file_bytes"], limits["file_bytes"])
        if limits["process_limit"] is not None and hasattr(resource, "RLIMIT_NPROC"):
            _set_limit(resource.RLIMIT_NPROC, limits["process_limit"], limits["process_limit"])
        self._limit_memory(self.address_space)

    def _limit_memory(self, soft):
        if self.address_space is not None:
            _set_limit(resource.RLIMIT_AS, soft, self.address_space + REPORT_BYTES)

    def _catch_signals(self):
        limits = self.limits
        self.reasons = {
            signal.SIGALRM: ("timed_out", "TimeoutError", "ran longer than %g s" % limits["wall"]),
            signal.SIGPROF: (
                "timed_out",
                "TimeoutError",
                "used more than %g s of processor time" % limits["cpu"],
            ),
            signal.SIGUSR1: (
                "output_limit",
                "OutputLimitError",
                "wrote more than %d bytes" % limits["output_bytes"],
            ),
        }
        for number in self.reasons:
            signal.signal(number, self._on_limit)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _on_limit(self, number, _frame):
        # Once per cell: a second exception could otherwise escape while the first is handled.
        if self.running and self.stop is None and os.getpid() == self.pid:
            self.stop = self.reasons[number]
            raise Stopped

    def serve(self, commands, report, ready):
        """Runs every command that comes, until the driver closes the pipe."""
        self.commands, self.report = commands, report
        for line in commands:
            command = json.loads(line.decode("utf-8"))
            self.key = command.pop("key")
            if "fork" in command:
                outcome = self._fork(ready)
                if outcome is None:  # this is the child
                    continue
            elif "reap" in command:
                outcome = _reaped(command["reap"])
            else:
                if command.get("forkable"):
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
                try:
                    outcome = self._guarded(command)
                except Stopped:  # in the few instructions between the handlers of `_guarded`
                    outcome = self._stopped()
                self._disarm()
                if command.get("forkable"):
                    # Whoever is forked from this process later must not change it by a signal.
                    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
                if os.getpid() != self.pid:
                    # A child that the code forked and that ran on to the end of the cell.
                    os._exit(0)
            report(json.dumps(dict(outcome, key=self.key)).encode("ascii") + b"\n")

    def _fork(self, ready):
        """Forks: this process reports its child's number and stays as it is, the child goes on with pipes of its own."""
        door = socket.socket(fileno=os.dup(5))
        with door:
            _, ancillary, _, _ = door.recvmsg(1, socket.CMSG_SPACE(16))
        descriptors = struct.unpack("4i", ancillary[0][2][:16])
        # Threads do not live on in a fork, and files would be shared with it.
        others = [name for name in os.listdir("/proc/self/fd") if int(name) > 5 and int(name) not in descriptors]
        is_whole = len(os.listdir("/proc/self/task")) == 1 and len(others) <= 1  # the listing itself has one
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        drawn = random.getstate()  # which Python seeds anew in a fork
        pid = os.fork() if is_whole else 0
        if pid == 0 and is_whole:
            random.setstate(drawn)
            for old, new in zip(descriptors, (3, 4, 1, 5)):
                os.dup2(old, new, inheritable=new < 3)
            os.dup2(1, 2)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid == 0 and is_whole:
            self.pid = os.getpid()
            self.narrow()
            self.report(ready)
            return None
        return {"status": "ok", "message": str(pid)}

    def call_out(self, text):
        """Hands `text` to Rust and returns its answer. The clock of the cell stands still meanwhile."""
        if os.getpid() != self.pid:
            raise RuntimeError("only the process that runs the cells can call out")
        if self.stop is not None:  # and the code went on
            raise Stopped
        line = json.dumps({"call": text, "key": self.key}).encode("ascii") + b"\n"
        if len(line) > LONGEST_CALL:
            raise ValueError("a call of %d bytes; the longest has %d" % (len(line), LONGEST_CALL))
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            self.report(line)
            answer = self.commands.readline()
        finally:
            signal.setitimer(signal.ITIMER_REAL, max(left, 1e-6))
        return json.loads(answer.decode("utf-8"))["answer"]

    def _guarded(self, command):
        is_program = "program" in command
        self.count += 1
        self.stop = None
        self._open_streams(separate=is_program)
        self._arm()
        outcome = {"status": "ok"}
        self.running = True
        try:
            try:
                if is_program:
                    self._program(command["program"])
                else:
                    if command.get("calls"):
                        self.main.__dict__["call_out"] = self.call_out
                    self._cell(command["cell"])
                self._flush()
            except BaseException as error:
                outcome = self._describe(error, is_program)
        except BaseException as error:  # a limit, or trouble while the traceback was written
            outcome = _outcome_of(error, message="")
        self.running = False
        return outcome if self.stop is None else self._stopped()

    def _stopped(self):
        self.running = False
        status, kind, message = self.stop
        return {"status": status, "kind": kind, "message": message}

    def _open_streams(self, separate):
        # Cells write through at every line, so that what came before a crash is seen; programs are
        # buffered as any program that writes to a pipe.
        sys.stdin = io.TextIOWrapper(io.open(0, "rb", closefd=False), encoding="utf-8", errors="replace")
        self.out = self.err = sys.stdout = _writer(1, line_buffering=not separate)
        if separate:
            self.err = _writer(2, line_buffering=True)
        # One stream for both in cells: what is written first is shown first.
        sys.stderr = self.err

    def _arm(self):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        # The timer asks first; the resource limit, one second later, does not ask.
        soft = int(time.process_time() + self.limits["cpu"]) + 2
        _set_limit(resource.RLIMIT_CPU, soft, hard)
        signal.setitimer(signal.ITIMER_REAL, self.limits["wall"])
        signal.setitimer(signal.ITIMER_PROF, self.limits["cpu"])

    def _disarm(self):
        self.running = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _cell(self, source):
        name = "Cell In[%d]" % self.count
        _remember_source(name, source)
        namespace = self.main.__dict__
        tree = ast.parse(source, name)
        shown = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not _ends_with_semicolon(source, tree):
            shown = ast.Expression(tree.body.pop().value)
        # Both are compiled before either runs, so that an error in the last line runs nothing.
        body = compile(tree, name, "exec", dont_inherit=True)
        if shown is not None:
            shown = compile(shown, name, "eval", dont_inherit=True)
        exec(body, namespace)
        if shown is not None:
            value = eval(shown, namespace)
            if value is not None:
                namespace["_"] = value
                text = repr(value)
                if sys.stdout is not self.out:
                    sys.stdout.flush()
                self.out.write(text + "\n")

    def _program(self, source):
        _remember_source("Program", source)
        sys.argv = ["program.py"]
        code = compile(source, "Program", "exec", dont_inherit=True)
        try:
            exec(code, self.main.__dict__)
        except SystemExit as request:
            if request.code not in (None, 0):
                raise
        # What an interpreter does before it exits.
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()

    def _describe(self, error, is_program):
        """Writes the traceback where it belongs and returns what the driver is told."""
        if isinstance(error, MemoryError):
            self._limit_memory(self.address_space and self.address_space + REPORT_BYTES)
        if is_program and isinstance(error, SystemExit):
            if isinstance(error.code, str):
                self.err.write(error.code + "\n")
        else:
            # The driver adds the last line of a cell that was stopped.
            has_head = not self.limits["short_tracebacks"]
            show_error(error, globals(), self.err.write, has_head, final=not isinstance(error, Stopped))
        self._flush()
        if isinstance(error, MemoryError):
            self._limit_memory(self.address_space)
        text = error.msg if isinstance(error, SyntaxError) else error
        return _outcome_of(error, brief(text, LONGEST_MESSAGE))

    def _flush(self):
        for stream in {id(s): s for s in (sys.stdout, sys.stderr, self.out, self.err)}.values():
            try:
                stream.flush()
            except Exception:  # closed by the code, or not a stream at all
                pass


def _reaped(pid):
    """How a child has ended; no message if it has not."""
    try:
        ended, state = os.waitpid(pid, os.WNOHANG)
    except OSError:
        return {"status": "ok", "message": "0"}
    return {"status": "ok", "message": str(state)} if ended else {"status": "ok"}


def _outcome_of(error, message):
    if isinstance(error, MemoryError):
        return {"status": "out_of_memory"}
    return {"status": "exception", "kind": brief(type(error).__name__, 100), "message": message}


def _writer(descriptor, line_buffering):
    return io.TextIOWrapper(
        io.open(descriptor, "wb", closefd=False),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=line_buffering,
    )


def _remember_source(name, source):
    """Lets tracebacks and `inspect.getsource` find the text of a cell."""
    linecache.cache[name] = (len(source), None, io.StringIO(source, newline=None).readlines(), name)


def _ends_with_semicolon(source, tree):
    """Whether a `;` follows the last expression, which asks for its value not to be shown."""
    last = tree.body[-1]
    line = source.encode("utf-8").splitlines()[last.end_lineno - 1]
    rest = line[last.end_col_offset :]
    return rest.lstrip().startswith(b";")


def _set_limit(which, soft, hard):
    _, ceiling = resource.getrlimit(which)
    if ceiling != resource.RLIM_INFINITY:
        hard = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(which, (soft, hard))
