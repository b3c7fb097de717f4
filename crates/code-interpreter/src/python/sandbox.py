"""What stands between a worker and the machine: namespaces, a root of its own, Landlock, seccomp, through libc.

Once per driver (`prepare`): a user namespace without rights outside, no network, a read-only root that holds the
interpreter and the system's libraries and nothing else. For each worker: process numbers, mounts, /proc and a sized /tmp
of its own; process 1 in there is ours and never runs the code, process 2 is the worker (`FirstProcess`).
"""

import os
import signal
import struct
import sys

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
MOUNT_RDONLY, MOUNT_NOSUID, MOUNT_NODEV, MOUNT_NOEXEC = 1, 2, 4, 8
USER_INSIDE = 1000
FULL, DEGRADED = "full", "degraded-linux"
MOST_DESCRIPTORS = 64

# Not `zero`: a shared mapping of it is memory that can be hidden from who counts.
DEVICES = ["null", "full", "random", "urandom"]
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}

# Landlock's rights on files, in the order of their bits, and the version of its interface that brought the later ones.
READS = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, list a folder
WRITES = 1 << 1 | 0b11111111 << 4  # all else of version 1, devices and pipes by name included
MAKE_DEVICES = 1 << 6 | 1 << 11
LATER_RIGHTS = [(2, 1 << 13), (3, 1 << 14), (5, 1 << 15)]  # refer, truncate, control a device


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
