//! Other processes: reading, writing, stopping, ending, outnumbering and outliving them.

use crate::suite::{Attack, End, ends, held};

pub const ATTACKS: &[Attack] = &[
    held(
        "trace the driver and the host program",
        "attempt(lambda: call(101, 16, {DRIVER}, 0, 0))\nattempt(lambda: call(101, 16, {PID}, 0, 0))\n\
         attempt(lambda: call(101, 16, os.getppid(), 0, 0))",
    ),
    held(
        "read another process's memory by process_vm_readv",
        "class V(ctypes.Structure):\n    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]\n\
         room = ctypes.create_string_buffer(8)\nmine = V(ctypes.addressof(room), 8)\n\
         for pid in (os.getppid(), {DRIVER}, {PID}):\n    \
         attempt(lambda: call(310, pid, ctypes.byref(mine), 1, ctypes.byref(V(ctypes.addressof(room), 8)), 1, 0))",
    ),
    held(
        "write another process's memory by process_vm_writev",
        "class V(ctypes.Structure):\n    _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]\n\
         room = ctypes.create_string_buffer(8)\nmine = V(ctypes.addressof(room), 8)\n\
         for pid in (os.getppid(), {DRIVER}, {PID}):\n    \
         attempt(lambda: call(311, pid, ctypes.byref(mine), 1, ctypes.byref(V(ctypes.addressof(room), 8)), 1, 0))",
    ),
    held(
        "take a descriptor of another process",
        "def take():\n    pidfd = call(434, os.getppid(), 0)\n    return call(438, pidfd, 1, 0)\nattempt(take)",
    ),
    held(
        "write replies into the driver's output",
        "for target in ('/proc/%d/fd/1' % os.getppid(), '/proc/{DRIVER}/fd/1', '/proc/{PID}/fd/1'):\n    \
         attempt(lambda: open(target, 'w').write('{\"cells\": []}\\n'))",
    ),
    ends(
        "kill every process there is",
        "try: os.kill(-1, 9)\nexcept OSError as error: print('held', error)\nelse: print('held: nobody else was there')",
        &[End::Held, End::Died],
    )
    .needs_scope(),
    held(
        "kill the driver and the host program",
        "for pid in ({DRIVER}, {PID}):\n    for number in (9, 15, 19, 10):\n        attempt(lambda: os.kill(pid, number))",
    )
    .needs_scope(),
    ends(
        "kill the process that started it",
        "try: os.kill(os.getppid(), 9)\nexcept OSError as error: print('held', error)\nelse: print('held: the first of its namespace does not hear it')",
        &[End::Held],
    )
    .needs_scope(),
    ends(
        "stop the process that started it",
        "for number in (19, 20, 10, 17, 15, 2):\n    try: os.kill(os.getppid(), number)\n    except OSError as error: print('held', error)\n\
         print('held')",
        &[End::Held, End::OutputLimit],
    )
    .needs_scope(),
    held(
        "signal the driver by way of a descriptor",
        "import fcntl, struct\nr, w = os.pipe()\nfor pid in (os.getppid(), {DRIVER}):\n    \
         attempt(lambda: fcntl.fcntl(r, 8, pid) == 0)\n    attempt(lambda: fcntl.fcntl(r, 15, struct.pack('ii', 1, pid)) is not None)\n\
         attempt(lambda: fcntl.fcntl(r, 10, 9) == 0)\nattempt(lambda: fcntl.ioctl(r, 0x8901, struct.pack('i', os.getppid())) is not None)",
    ),
    held(
        "lower the limits of another process",
        "import resource\nfor pid in (os.getppid(), {DRIVER}, {PID}):\n    \
         attempt(lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)) is not None)",
    ),
    held(
        "raise its own limits",
        "import resource\nfor which in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_CORE):\n    \
         attempt(lambda: resource.setrlimit(which, (1 << 40, 1 << 40)) is None)",
    ),
    held(
        "take other processes' processors and priority",
        "for pid in (os.getppid(), {DRIVER}, {PID}):\n    attempt(lambda: os.sched_setaffinity(pid, {0}) is None)\n    \
         attempt(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19) is None)\n\
         attempt(lambda: os.setpriority(os.PRIO_USER, 0, 19) is None)\n\
         attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)) is None)\nattempt(lambda: os.nice(-5))",
    ),
    held(
        "escape the killer of those that take too much memory",
        "attempt(lambda: open('/proc/self/oom_score_adj', 'w').write('-1000'))",
    ),
    held(
        "hide its memory from those who count",
        "attempt(lambda: libc.prctl(4, 0, 0, 0, 0) == 0)",
    )
    .control(),
    ends(
        "fork without end",
        "n = 0\nwhile True:\n    try:\n        if os.fork() == 0:\n            time.sleep(1000)\n        n += 1\n    except OSError as error:\n        \
         print('held after', n, error) if n <= 40 else print('THROUGH', n)\n        break\n    if n > 500:\n        print('THROUGH', n)\n        break",
        &[End::Held],
    ),
    ends(
        "fork a chain that never stands still",
        "if os.fork() == 0:\n    os.setsid()\n    while True:\n        try:\n            if os.fork(): os._exit(0)\n        except OSError: pass\n\
         print('held until the end of the run')",
        &[End::Held],
    ),
    ends(
        "fork in every child, twice",
        "while True:\n    try: os.fork()\n    except OSError: pass",
        &[End::TimedOut, End::Died, End::OutputLimit, End::OutOfMemory],
    ),
    ends(
        "start threads without end",
        "import threading\nn = 0\nwhile n < 500:\n    try:\n        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n        n += 1\n    \
         except (RuntimeError, MemoryError) as error:\n        print('held after', n, error)\n        break\nelse: print('THROUGH', n)",
        &[End::Held],
    ),
    ends(
        "leave a daemon behind that ignores every signal",
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        for n in range(1, 65):\n            try: signal.signal(n, signal.SIG_IGN)\n            \
         except (OSError, ValueError): pass\n        while True: time.sleep(1)\n    os._exit(0)\nprint('held until the end of the run')",
        &[End::Held],
    ),
    ends(
        "leave a daemon behind by a program",
        "import subprocess\nsubprocess.Popen(['setsid', 'nohup', 'sleep', '1000'])\nsubprocess.Popen(['sh', '-c', 'trap \"\" TERM HUP INT; (while :; do sleep 1; done) &'])\n\
         print('held until the end of the run')",
        &[End::Held],
    ),
    ends(
        "run on after every limit of time",
        "for n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\n\
         signal.setitimer(signal.ITIMER_REAL, 0)\nsignal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass",
        &[End::TimedOut],
    ),
    ends(
        "stop itself",
        "os.kill(os.getpid(), signal.SIGSTOP)",
        &[End::TimedOut],
    ),
    ends(
        "crash by a wild pointer",
        "ctypes.string_at(1)",
        &[End::Died],
    ),
];
