"""Runs a program to its end in the surroundings that the released runner of HumanEval gives it.

What this shuts off decides verdicts and protects nothing: the sandbox does that.
"""

import builtins
import io
import os
import shutil
import subprocess
import sys

SHUT_OFF = [
    (builtins, "exit help quit"),
    (
        os,
        "chdir chmod chown chroot fchdir fchmod fchown fork forkpty getcwd kill killpg lchflags lchmod lchown putenv"
        " remove removedirs rename renames replace rmdir setuid system truncate unlink",
    ),
    (shutil, "chown move rmtree"),
    (subprocess, "Popen"),
]
NOT_IMPORTABLE = ["ipdb", "joblib", "psutil", "resource", "tkinter"]


class Closed(io.StringIO):
    """Forgets what is written, and raises when it is read."""

    def read(self, *_):
        raise OSError

    readline = readlines = read

    def readable(self):
        return False

    def write(self, text):
        return len(text)


def run(program, imported):
    """`imported` are modules that can no longer be imported once all this is shut off."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in imported:
        __import__(name)
    sys.stdin = sys.stdout = sys.stderr = Closed()
    for module, names in SHUT_OFF:
        for name in names.split():
            setattr(module, name, None)
    for name in NOT_IMPORTABLE:
        sys.modules[name] = None
    exec(compile(program, "<string>", "exec", dont_inherit=True), {})
