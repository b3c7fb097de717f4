"""What stands between a worker and the machine: namespaces, a root of its own, Landlock, seccomp, through libc.

Once per driver (`prepare`): a user namespace without rights outside, no network, a read-only root that holds the
interpreter and the system's libraries and nothing else. For each worker: process numbers, mounts, /proc and a sized /tmp
of its own; process 1 in there is ours and never runs the code, process 2 is the worker (`FirstProcess`).
"""

import ctypes
import json
import os
import resource
import select
import signal
import stat
import struct
import sys
import time

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_RDONLY, MOUNT_NOSUID, MOUNT_NODEV, MOUNT_NOEXEC = 1, 2, 4, 8
USER_INSIDE = 1000
FULL, DEGRADED = "full", "degraded-linux"

# What the dynamic linker, the system's programs and time zones need; the interpreter's own folders come on top.
SYSTEM = [
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32",
    "/usr/lib64", "/usr/libx32", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
]  # fmt: skip
# Not `zero`: a shared mapping of it is memory that can be hidden from who counts.
DEVICES = ["null", "full", "random", "urandom"]
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}

# Landlock's rights on files, in the order of their bits, and the version of its interface that brought the later ones.
READS = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
WRITES = 1 << 1 | 0b11111111 << 4  # all else of version 1, devices and pipes by name included
MAKE_DEVICES = 1 << 6 | 1 << 11
LATER_RIGHTS = [(2, 1 << 13), (3, 1 << 14), (5, 1 << 15)]  # refer, truncate, control a device

STATUS, OVER_MEMORY = b"s", b"m"
MEMORY_POLL_SECONDS = 0.05
CLEAR_SECONDS = 2
LARGEST_DESCRIPTOR = 1024
MOST_DESCRIPTORS = 64


class Refused(Exception):
    """The system does not allow a step; `step` names it."""

    def __init__(self, step, detail):
        super().__init__("%s: %s" % (step, detail))
        self.step = step
        self.detail = str(detail)


# PyDLL keeps the interpreter's lock, without which the child of a raw `clone` could not go on.
_libc = ctypes.PyDLL(None, use_errno=True)


def _call(step, function, *arguments):
    result = function(*arguments)
    if result == -1:
        raise Refused(step, os.strerror(ctypes.get_errno()))
    return result


def _prctl(step, option, value=0, more=0):
    return _call(step, _libc.prctl, *(ctypes.c_ulong(n) for n in (option, value, more, 0, 0)))


def _mount(source, target, kind, flags, options=None):
    encode = os.fsencode
    _call(
        "mount %s on %s" % (kind or source, target),
        _libc.mount,
        encode(source),
        encode(target),
        encode(kind) if kind else None,
        ctypes.c_ulong(flags),
        encode(options) if options else None,
    )


def hide_from_others():
    """No process of the same user may read this one's memory, environment or descriptors. Linux only."""
    if sys.platform == "linux":
        _prctl("become non-dumpable", PR_SET_DUMPABLE, 0)


class Sandbox:
    """The measures of one driver. `plan` comes from the library: the level, the numbers of system calls, filters."""

    def __init__(self, plan, limits):
        self.level = plan["level"]
        self.limits = limits
        self.calls = plan["calls"]
        self.user = plan["user"]
        self.filters = [_Filter(bytes.fromhex(program)) for program in plan["filters"]]
        self.landlock = 0
        self.readable = []
        self.scratch = None
        self.isolated = self.level == FULL
        self.held = self.level in (FULL, DEGRADED)
        if self.held:
            self.landlock = self._call("landlock_create_ruleset", None, 0, 1)

    def _call(self, name, *arguments):
        words = [ctypes.c_long(n) if isinstance(n, int) else n for n in arguments]
        return _call(name, _libc.syscall, ctypes.c_long(self.calls[name]), *words)

    # --- once per driver ---

    def prepare(self, folder):
        """Confines the driver itself as far as its work allows. `folder` is where the new root is put together."""
        if not self.held:
            hide_from_others()
            return
        links, binds = _paths_of_interpreter()
        self.readable = [path for path in binds if os.path.exists(path)]
        if self.isolated:
            # An interpreter below /tmp would be hidden by a file system there.
            self.scratch = "/scratch" if any(path.startswith("/tmp/") for path in binds) else "/tmp"
        # Root of a user namespace that maps nobody else is an ordinary user outside of it.
        as_root = os.geteuid() == 0 and _is_mapped(self.user)
        if self.isolated:
            spaces = NEWNS | NEWNET | NEWIPC | NEWUTS | NEWCGROUP
            if not as_root:
                self._enter_user_namespace(spaces)
            else:
                _call("unshare", _libc.unshare, spaces)
            _call("sethostname", _libc.sethostname, b"sandbox", 7)
            self._enter_root(folder, links, binds)
        elif as_root:
            os.chown(folder, self.user, self.user)
        if as_root:
            self._drop_user()
            if self.isolated:
                self._enter_user_namespace(0)
        hide_from_others()
        if as_root and not os.access(sys.executable, os.X_OK):
            raise Refused("reach the interpreter as user %d" % self.user, sys.executable)

    def _drop_user(self):
        try:
            os.setgroups([])
            os.setresgid(self.user, self.user, self.user)
            os.setresuid(self.user, self.user, self.user)
        except OSError as error:
            raise Refused("change to user %d" % self.user, error.strerror)
        # Without it this process could not write its own maps of users.
        _prctl("become dumpable", PR_SET_DUMPABLE, 1)

    def _enter_user_namespace(self, spaces):
        user, group = os.geteuid(), os.getegid()
        _call("unshare a user namespace", _libc.unshare, NEWUSER | spaces)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", "%d %d 1" % (USER_INSIDE, user)),
            ("gid_map", "%d %d 1" % (USER_INSIDE, group)),
        ):
            try:
                with open("/proc/self/" + name, "w") as file:
                    file.write(text)
            except OSError as error:
                raise Refused("write /proc/self/" + name, error.strerror)

    def _enter_root(self, folder, links, binds):
        """Puts a read-only root together in `folder` and makes it `/`."""
        _mount("none", "/", None, MS_REC | MS_PRIVATE)
        _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
        binds = binds + ["/dev/" + name for name in DEVICES]
        for path in binds:
            inside = folder + path
            if os.path.isdir(path):
                os.makedirs(inside, exist_ok=True)
            else:
                os.makedirs(os.path.dirname(inside), exist_ok=True)
                os.close(os.open(inside, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        devices = dict(LINKS, shm=self.scratch)
        for path, target in list(links.items()) + [("/dev/" + name, to) for name, to in devices.items()]:
            os.makedirs(os.path.dirname(folder + path), exist_ok=True)
            os.symlink(target, folder + path)
        for name in (self.scratch, "/tmp", "/proc", "/.old"):
            os.makedirs(folder + name, exist_ok=True)
        for path in binds:
            _mount(path, folder + path, None, MS_BIND | MS_REC)
            flags = MOUNT_RDONLY | MOUNT_NOSUID
            self._restrict(folder + path, flags if path.startswith("/dev/") else flags | MOUNT_NODEV)
        # Workers mount one of their own over it, which the kernel allows only where a whole one is in sight.
        _mount("/proc", folder + "/proc", None, MS_BIND | MS_REC)
        os.chdir(folder)
        self._call("pivot_root", b".", b".old")
        os.chdir("/")
        _call("umount the old root", _libc.umount2, b"/.old", MNT_DETACH)
        os.rmdir("/.old")
        self._restrict("/", MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV, recursive=False)

    def _restrict(self, path, flags, recursive=True):
        attributes = struct.pack("QQQQ", flags, 0, 0, 0)
        self._call(
            "mount_setattr", AT_FDCWD, os.fsencode(path), AT_RECURSIVE if recursive else 0, attributes, len(attributes)
        )

    # --- once per worker ---

    def fork(self, life, forkable=False):
        """Runs `life()` in a new process, which never returns, and returns the driver's side of it.

        A `forkable` one, which takes namespaces, can be given orders about the processes in its namespace.
        """
        if not self.isolated:
            pid = os.fork()
            if pid == 0:
                _live(life)
            return Process(pid)
        pipes = [os.pipe() for _ in range(3 if forkable else 1)]
        ours = [pipes[0][0]] + ([pipes[1][1], pipes[2][0]] if forkable else [])
        theirs = [pipes[0][1]] + ([pipes[1][0], pipes[2][1]] if forkable else [])
        spaces = NEWPID | NEWNS | NEWIPC | NEWUTS | NEWCGROUP
        try:
            pid = self._call("clone", spaces | signal.SIGCHLD, 0, 0, 0, 0)
        except Refused as error:
            for descriptor in ours + theirs:
                os.close(descriptor)
            raise OSError(error.detail)
        if pid == 0:
            _live(lambda: FirstProcess(self, theirs).live(life))
        for descriptor in theirs:
            os.close(descriptor)
        return FirstProcessSeen(pid, *ours)

    def mount_for_worker(self):
        """Mounts what is a worker's own. Returns a /proc that shows all processes, the worker's only those it may trace:
        one that runs a program which its user can't read would be hidden from process 1 too."""
        limits = self.limits
        _mount(
            "tmpfs",
            self.scratch,
            "tmpfs",
            MS_NOSUID | MS_NODEV,
            "mode=700,uid=%d,gid=%d,size=%d,nr_inodes=%d"
            % (USER_INSIDE, USER_INSIDE, limits["disk_bytes"], limits["files"]),
        )
        flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
        _mount("proc", "/proc", "proc", flags, "subset=pid")
        everything = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        _call("unmount /proc", _libc.umount2, b"/proc", MNT_DETACH)
        _mount("proc", "/proc", "proc", flags, "hidepid=2,subset=pid")
        return everything

    def confine(self, folder):
        """The last step before the code: afterwards this process can do no more than the code may."""
        if not self.held:
            if sys.platform == "linux":
                _prctl("become dumpable", PR_SET_DUMPABLE, 1)
            return
        # The buffers of sockets are memory that no limit counts; it takes a descriptor to hold one.
        for which, most in (
            (resource.RLIMIT_NOFILE, MOST_DESCRIPTORS),
            (resource.RLIMIT_MSGQUEUE, 0),
            (resource.RLIMIT_MEMLOCK, 1 << 16),
            (resource.RLIMIT_SIGPENDING, 1024),
        ):
            _set_limit(which, most, most)
        _prctl("no_new_privs", PR_SET_NO_NEW_PRIVS, 1)
        self._drop_capabilities()
        # So that the code can read its own /proc/self.
        _prctl("become dumpable", PR_SET_DUMPABLE, 1)
        self._restrict_files(folder)
        for program in self.filters:
            program.install()

    def narrow(self):
        """Puts this process and its children where they can't signal or read those they were forked from."""
        scoped = self.landlock >= 6
        attributes = struct.pack("QQQ", 0 if scoped else MAKE_DEVICES, 0, 0b10 if scoped else 0)
        size = 24 if scoped else 8
        ruleset = self._call("landlock_create_ruleset", attributes[:size], size, 0)
        self._call("landlock_restrict_self", ruleset, 0)
        os.close(ruleset)

    def _drop_capabilities(self):
        header = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
        self._call("capset", header, bytes(24))

    def _restrict_files(self, folder):
        version = self.landlock
        everything = READS | WRITES
        for since, right in LATER_RIGHTS:
            if version >= since:
                everything |= right
        attributes = struct.pack("QQQ", everything, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
        size = 24 if version >= 6 else 16 if version >= 4 else 8
        ruleset = self._call("landlock_create_ruleset", attributes[:size], size, 0)
        if self.isolated:
            rules = [("/", READS), ("/dev", READS | 1 << 1)]
        else:
            rules = [(path, READS) for path in self.readable]
            rules += [("/dev/" + name, 1 << 1 | 1 << 2) for name in DEVICES] + [("/proc/self", READS)]
        rules.append((folder, everything & ~MAKE_DEVICES))
        for path, rights in rules:
            beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
            if not os.path.isdir(path):
                rights &= 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
            rule = struct.pack("=Qi", rights & everything, beneath)
            self._call("landlock_add_rule", ruleset, 1, rule, 0)
            os.close(beneath)
        self._call("landlock_restrict_self", ruleset, 0)
        os.close(ruleset)


def _is_mapped(user):
    with open("/proc/self/uid_map") as ranges:
        return any(int(first) <= user < int(first) + int(count) for first, _, count in map(str.split, ranges))


class _Filter:
    """A program for seccomp, ready to be installed."""

    class Header(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    def __init__(self, program):
        self.program = ctypes.create_string_buffer(program, len(program))
        self.header = self.Header(len(program) // 8, ctypes.cast(self.program, ctypes.c_void_p))

    def install(self):
        _prctl("install a seccomp filter", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(self.header))


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


def remove_tree(path, until=float("inf")):
    """Removes a folder however deep it is and however its rights are set; False if the time was up before."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    here = None
    try:
        os.chmod(path, 0o700)
        here = os.open(path, flags)
        levels = [("", os.listdir(here))]  # from the top: a folder's name, and what is left in it
        while levels:
            if time.monotonic() > until:
                return False
            names = levels[-1][1]
            if names:
                name = names.pop()
                if not stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode):
                    os.unlink(name, dir_fd=here)
                    continue
                os.chmod(name, 0o700, dir_fd=here)
                to = name
            else:
                to = ".."
            # One descriptor at a time, as a tree may be deeper than there are descriptors.
            there = os.open(to, flags, dir_fd=here)
            os.close(here)
            here = there
            if to == "..":
                name = levels.pop()[0]
                if levels:
                    os.rmdir(name, dir_fd=here)
            else:
                levels.append((to, os.listdir(here)))
        os.rmdir(path)
    except OSError:  # the library removes what is left when it ends
        pass
    finally:
        if here is not None:
            os.close(here)
    return True


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


def _paths_of_interpreter():
    """Links and real paths that a root must have for this interpreter to work in it."""
    wanted = list(SYSTEM) + [sys.executable, os.path.realpath(sys.executable)]
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        for name in ("bin", "lib", "lib32", "lib64", "pyvenv.cfg", "share/zoneinfo"):
            wanted.append(os.path.join(prefix, name))
    # Packages that were installed. Other entries are folders of projects, which may hold anything.
    wanted += [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    wanted += _loaded_files()
    links, binds = {}, set()
    for path in wanted:
        if os.path.isabs(path):
            _resolve(path, links, binds)
    binds = sorted(binds)
    outer = [p for p in binds if not any(p != q and p.startswith(q.rstrip("/") + "/") for q in binds)]
    # A link inside of a folder that is bound is there already.
    links = {p: to for p, to in links.items() if not any(p.startswith(q + "/") for q in outer)}
    return links, outer


def _loaded_files():
    with open("/proc/self/maps") as maps:
        return sorted({line.split(None, 5)[5].rstrip("\n") for line in maps if line.count("/") and "r-x" in line})


def _resolve(path, links, binds):
    """Notes the links on the way to `path` and where it ends."""
    for _ in range(40):  # as many as the kernel follows
        done = "/"
        for part in path.split("/")[1:]:
            done = os.path.join(done, part)
            if os.path.islink(done):
                links[done] = os.readlink(done)
                rest = path[len(done) :]
                path = os.path.normpath(os.path.join(os.path.dirname(done), links[done]) + rest)
                break
        else:
            if os.path.exists(path) and path != "/":
                binds.add(path)
            return
