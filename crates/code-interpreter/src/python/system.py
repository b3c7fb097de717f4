"""The system calls that Python has no functions for, through libc; the files of the interpreter; removal of folders."""

import ctypes
import os
import stat
import sys
import time

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
SECCOMP_MODE_FILTER = 2
LARGEST_DESCRIPTOR = 1024

# What the dynamic linker, the system's programs and time zones need; the interpreter's own folders come on top.
SYSTEM = [
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32",
    "/usr/lib64", "/usr/libx32", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime",
]  # fmt: skip


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
