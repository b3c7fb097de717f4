"""The warm process: answers one JSON line with one JSON line, and forks a child for all code it runs.

Nothing of the user's is executed here; a syntax check only compiles.
"""

import gc
import importlib
import warnings

TRUNCATED = "...\n[Output Truncated]"
NOT_RUN = "[Not run: an earlier cell ended the interpreter]"


class Driver:
    """Answers requests, one at a time."""

    def __init__(self, config, on_call):
        self.limits = config["limits"]
        self.on_call = on_call
        self.sandbox = Sandbox(config["sandbox"], self.limits)
        # Where folders of workers are made; inside the sandbox they have file systems of their own.
        self.root = None if self.sandbox.isolated else os.getcwd()
        self.sandbox.prepare(os.getcwd())
        self.kept = None
        self.states = States(self)
        self.folders = []
        self.made = 0
        self.user_tasks = None
        self.limits["address_space"] = None
        self.limits["short_tracebacks"] = config["short_tracebacks"]
        for name in config["preload"]:
            importlib.import_module(name)
        mapped = mapped_bytes()
        if mapped is not None:
            self.limits["address_space"] = mapped + self.limits["memory_bytes"]
        self.limits["process_limit"] = self._process_limit()

    def facts(self):
        return {
            "memory": self.limits["address_space"] is not None,
            "processes": self.limits["process_limit"] is not None,
            "no_new_privs": status_field("NoNewPrivs") == "1",
            "daemons": self.sandbox.isolated or os.path.exists("/proc/self/task/%d/children" % os.getpid()),
            "isolated": self.sandbox.isolated,
            "landlock": self.sandbox.landlock,
            "seccomp": bool(self.sandbox.filters),
        }

    def probe(self, probe):
        """What a worker finds that tries to get out; None at a level that promises nothing."""
        if probe is None:
            return None
        outcome = self._program(probe["source"], probe["targets"], self.limits)
        self.clean()
        return {"status": outcome["status"], "stdout": outcome["stdout"], "stderr": outcome["stderr"]}

    def answer(self, request):
        op = request["op"]
        if op == "syntax":
            return {"syntax": [syntax_error(snippet) for snippet in request["snippets"]]}
        if op == "run":
            self._load(request["modules"])
            limits = self._limits_of(request["limits"])
            return {"cells": self._run(request["cells"], request["calls"], limits)}
        if op == "session":
            return self._session(request["cell"])
        if op == "reset":
            self._drop_kept()
            return {"reset": None}
        if op == "program":
            limits = self._limits_of(request["limits"])
            return {"program": self._program(request["source"], request["stdin"], limits)}
        if op == "open":
            return {"opened": self.states.open()}
        if op == "fork":
            return {"forked": self.states.run(request["state"], request["cells"], request["keep"])}
        if op == "close":
            self.states.close(request["state"])
            return {"reset": None}
        raise ValueError("unknown request %r" % op)

    def _load(self, modules):
        """Runs modules of this library's own, once: the workers then have them at the cost of a fork."""
        for name, source in modules:
            if name not in sys.modules:
                module = types.ModuleType(name)
                exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
                sys.modules[name] = module

    def _run(self, cells, calls, limits):
        on_call = self.on_call if calls else None
        child = self._child(limits)
        try:
            shown = []
            for cell in cells:
                if child.alive:
                    outcome = child.ask({"cell": cell, "calls": calls}, on_call)
                    shown.append(show_cell(outcome, limits))
                else:
                    shown.append({"status": "not_run", "output": NOT_RUN, "truncated": False, "wall": 0.0})
            return shown
        finally:
            child.close()

    def _session(self, cell):
        died_since = self.kept is not None and self.kept.is_lost()
        if died_since:
            self._drop_kept()
        if self.kept is None:
            self.kept = self._child(self.limits)
        shown = show_cell(self.kept.ask({"cell": cell}), self.limits)
        lost = not self.kept.alive
        if lost:
            self._drop_kept()
        return {"session": {"cell": shown, "was_lost": died_since, "is_lost": lost}}

    def _limits_of(self, asked):
        """The limits with the time and memory that a request asks for."""
        if asked is None:
            return self.limits
        limits = dict(self.limits, wall=asked["wall"], cpu=asked["cpu"], memory_bytes=asked["memory_bytes"])
        if limits["address_space"] is not None:
            limits["address_space"] += asked["memory_bytes"] - self.limits["memory_bytes"]
        return limits

    def _program(self, source, stdin, limits):
        descriptor = sealed_file(stdin.encode("utf-8"), self.root)
        child = self._child(limits, descriptor, separate=True)
        try:
            outcome = child.ask({"program": source})
        finally:
            child.close()
        for stream in ("stdout", "stderr"):
            outcome[stream] = outcome[stream].decode("utf-8", "replace")
        return outcome

    def _child(self, limits, stdin=None, separate=False, forkable=False):
        if self.root is None:
            folder = self.sandbox.scratch
        else:
            self.made += 1
            folder = os.path.join(self.root, str(self.made))
            os.mkdir(folder, 0o700)
            self.folders.append(folder)
        limits["process_limit"] = self._process_limit()
        if stdin is None:
            stdin = os.open(os.devnull, os.O_RDONLY)
        return Child(
            lambda life, _: self.sandbox.fork(life, forkable),
            self.sandbox,
            limits,
            folder,
            stdin,
            separate,
            self.root,
            forkable,
        )

    def _drop_kept(self):
        if self.kept is not None:
            self.kept.close()
            self.kept = None

    def _process_limit(self):
        """The kernel counts all tasks of the user, so the limit lies that much higher."""
        if self.sandbox.isolated:
            # Counted in the driver's user namespace: itself, process 1 and the worker, another's if one is kept.
            others = (self.kept is not None) + len(self.states.trees)
            return self.limits["processes"] + 3 + MOST_STATES + others * (self.limits["processes"] + 2 + MOST_STATES)
        if os.getuid() == 0 or not os.path.exists("/proc/self/stat"):
            return None
        now = time.monotonic()
        if self.user_tasks is None or now - self.user_tasks[0] > 2:
            self.user_tasks = (now, count_tasks(os.getuid()))
        return self.user_tasks[1] + self.limits["processes"]

    def clean(self):
        """Removes the folders of workers that are gone."""
        kept = self.kept.folder if self.kept is not None else None
        # What takes longer is left for the next time, so that no tree, however large, can hold up the driver.
        until = time.monotonic() + self.limits["grace"]
        self.folders = [folder for folder in self.folders if folder == kept or not remove_tree(folder, until)]


def sealed_file(data, root):
    """A descriptor of a nameless file, read from its start; on Linux one that nobody can change any more."""
    in_memory = hasattr(os, "memfd_create")
    if in_memory:
        descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        path = os.path.join(root, "stdin")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.unlink(path)
    data = memoryview(data)
    while data:
        data = data[os.write(descriptor, data) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    if in_memory:
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def show_cell(outcome, limits):
    """What a notebook shows, cut to the length that is asked for."""
    text = outcome.pop("stdout").decode("utf-8", "replace")
    del outcome["stderr"]
    if text.endswith("\n"):
        text = text[:-1]
    outcome["truncated"] = len(text) > limits["output_chars"] or outcome["status"] == "output_limit"
    if outcome["truncated"]:
        text = text[: limits["output_chars"]] + TRUNCATED
    notice = stop_notice(outcome, limits)
    # After the cut, so that the reader always sees why the cell ended.
    if notice:
        text += ("\n" if text and not text.endswith("\n") else "") + notice
    outcome["output"] = text
    return outcome


def stop_notice(outcome, limits):
    status = outcome["status"]
    lost = "; its variables are lost" if outcome["hard"] else ""
    if status == "timed_out":
        what = outcome.get("message") or "did not stop at its limit of %g s and was killed" % limits["wall"]
        return "TimeoutError: the cell %s%s" % (what, lost)
    if status == "output_limit":
        return "OutputLimitError: the cell wrote more than %d bytes%s" % (limits["output_bytes"], lost)
    if status == "out_of_memory" and outcome["hard"]:
        return "MemoryError: the processes of the cell held more than %d bytes together%s" % (
            limits["total_memory_bytes"],
            lost,
        )
    if status != "died":
        return ""
    if "signal" in outcome:
        return "The interpreter was ended by signal %d%s" % (outcome["signal"], lost)
    if outcome["code"] is None:
        return "The interpreter lost its connection and was killed%s" % lost
    return "The interpreter exited with status %d%s" % (outcome["code"], lost)


def syntax_error(snippet):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(snippet, "snippet", "exec", dont_inherit=True)
    except SyntaxError as error:
        return {"line": error.lineno or 1, "message": brief(error.msg, LONGEST_MESSAGE)}
    except (ValueError, OverflowError, RecursionError, MemoryError) as error:
        return {"line": 1, "message": "%s: %s" % (type(error).__name__, brief(error, LONGEST_MESSAGE))}
    return None


def mapped_bytes():
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return None


def status_field(name):
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith(name + ":"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return None


def count_tasks(user):
    """Processes and threads of `user`."""
    total = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat("/proc/" + name).st_uid == user:
                    with open("/proc/%s/stat" % name, "rb") as stat:
                        total += int(stat.read().rpartition(b")")[2].split()[17])
            except OSError:  # it has ended meanwhile
                pass
    return total


def main():
    os.closerange(3, min(1 << 16, max(LARGEST_DESCRIPTOR, resource.getrlimit(resource.RLIMIT_NOFILE)[0])))
    _set_limit(resource.RLIMIT_NOFILE, LARGEST_DESCRIPTOR, LARGEST_DESCRIPTOR)
    requests = io.open(0, "rb", closefd=False)

    def reply(answer):
        line = memoryview(json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        while line:
            line = line[os.write(1, line) :]

    def call(text):
        """Asks Rust, in the midst of a request; None if the run is to end."""
        reply({"call": text})
        line = requests.readline()
        if not line:  # the library is gone
            return None
        return json.loads(line.decode("utf-8"))["answer"]

    try:
        config = json.loads(requests.readline().decode("utf-8"))
        driver = Driver(config, call)
        gc.collect()
        gc.freeze()
        reply({"ready": dict(driver.facts(), probes=driver.probe(config["probe"]))})
    except Refused as error:
        reply({"refused": {"step": error.step, "detail": error.detail}})
        os._exit(0)
    except Exception as error:
        reply({"error": "%s: %s" % (type(error).__name__, brief(error, 1000))})
        os._exit(0)
    for line in requests:
        try:
            answer = driver.answer(json.loads(line.decode("utf-8")))
        except (HostTrouble, OSError) as error:
            answer = {"error": brief(error, 1000)}
        try:
            reply(answer)
        except BrokenPipeError:
            break
        driver.clean()
    driver._drop_kept()
    leave(driver.root)


main()
