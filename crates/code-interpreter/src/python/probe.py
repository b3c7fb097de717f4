"""Tries to get out, as a program in a worker; prints what each attempt met: null where it was held."""

import ctypes
import json
import os
import resource
import socket
import sys

targets = json.loads(sys.stdin.read())
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, MS_BIND = 0x10000000, 0x1000


def held(attempt):
    """What the attempt came to, or None if the system refused it."""
    try:
        return attempt()
    except (OSError, ValueError):
        return None


def network():
    socket.create_connection(("127.0.0.1", targets["port"]), 1).close()
    return "connected to port %d of this machine" % targets["port"]


def read():
    with open(targets["secret"]) as file:
        return "read %d bytes of %s" % (len(file.read()), targets["secret"])


def write():
    path = os.path.join(targets["outside"], "written")
    with open(path, "w") as file:
        file.write("x")
    return "wrote " + path


def fork():
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if hard == resource.RLIM_INFINITY:
        return "the number of processes is not limited"
    resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    try:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return "the limit of processes is not heeded"
    finally:
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))


def escape():
    if libc.mount(b"/", b"/", None, ctypes.c_ulong(MS_BIND), None) == 0:
        return "mounted a file system"
    if libc.unshare(CLONE_NEWUSER) == 0:
        return "made a user namespace"
    return None


def memory():
    if hasattr(libc, "memfd_create") and libc.memfd_create(b"x", 0) >= 0:
        return "made a file in memory, which no limit counts"
    return None


def signals():
    # In a namespace of its own this process is the second, and low numbers are not the machine's.
    if os.getpid() == 2 and targets["pid"] <= 2:
        return None
    os.kill(targets["pid"], 0)
    return "may signal process %d outside" % targets["pid"]


def processes():
    others = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    return "sees %d other processes" % len(others) if others else None


def disk():
    system = os.statvfs(os.environ["TMPDIR"])
    size = system.f_blocks * system.f_frsize
    return "may write %d bytes" % size if size > targets["disk_bytes"] + (1 << 20) else None


attempts = [network, read, write, fork, escape, memory, signals, processes, disk]
print(json.dumps({attempt.__name__: held(attempt) for attempt in attempts}))
