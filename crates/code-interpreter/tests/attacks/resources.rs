//! Memory, disk and output: more than any limit allows, or left behind.

use crate::suite::{Attack, End, ends, held};

pub const ATTACKS: &[Attack] = &[
    ends(
        "take ten gigabytes",
        "x = bytearray(10 << 30)\nprint('THROUGH')",
        &[End::OutOfMemory],
    ),
    ends(
        "take memory in many processes",
        "for n in range(8):\n    if os.fork() == 0:\n        x = b'x' * (90 << 20)\n        time.sleep(1000)\ntime.sleep(1.5)\nprint('THROUGH')",
        &[End::OutOfMemory],
    )
    .gap("memory is limited for each process alone"),
    ends(
        "take memory in daemons",
        "if os.fork() == 0:\n    os.setsid()\n    for n in range(8):\n        if os.fork() == 0:\n            x = b'x' * (90 << 20)\n            time.sleep(1000)\n    os._exit(0)\n\
         time.sleep(1.5)\nprint('THROUGH')",
        &[End::OutOfMemory],
    )
    .gap("memory is limited for each process alone"),
    ends(
        "take memory in programs whose processes cannot be read",
        "import shutil, subprocess\nshutil.copy(os.path.realpath('/bin/sh'), 'sh')\nos.chmod('sh', 0o111)\n\
         grow = 'x=a; i=0; while [ $i -lt 25 ]; do x=$x$x; i=$((i+1)); done; echo; read y'\n\
         kept = [subprocess.Popen(['./sh', '-c', grow], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in range(12)]\n\
         for shell in kept: shell.stdout.read(1)\ntime.sleep(0.3)\nprint('THROUGH')",
        // On a busy machine the time may be over before the memory is.
        &[End::OutOfMemory, End::TimedOut],
    )
    .gap("memory is limited for each process alone"),
    held(
        "take memory as a nameless file",
        "attempt(lambda: os.memfd_create('x'))\nattempt(lambda: call(447, 0))",
    )
    .control(),
    held(
        "take memory as mappings that forget what they hold",
        "import mmap\ndef fill():\n    kept = []\n    for n in range(4):\n        if os.fork() == 0:\n            m = mmap.mmap(-1, 90 << 20)\n            \
         for at in range(0, 90 << 20, 4096): m[at] = 1\n            m.madvise(mmap.MADV_DONTNEED)\n            time.sleep(1000)\n    mmap.mmap(-1, 4096)\n    time.sleep(1)\n    return True\nattempt(fill)",
    )
    .control(),
    held(
        "take such memory by a device",
        "import mmap\nattempt(lambda: mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096, flags=mmap.MAP_SHARED))",
    )
    .control(),
    held(
        "write into the memory of its own input",
        "attempt(lambda: os.write(os.open('/proc/self/fd/0', os.O_RDWR), b'x' * 4096) > 0 and os.fstat(0).st_size)",
    ),
    held(
        "take a segment of System V memory and leave it",
        "attempt(lambda: call(29, 0, 1 << 20, 0o1777) + 1)\nattempt(lambda: call(29, 0x7a7a, 1 << 20, 0o1777) + 1)",
    )
    .control(),
    held(
        "take System V semaphores and queues",
        "attempt(lambda: call(64, 0, 4, 0o1777) + 1)\nattempt(lambda: call(68, 0, 0o1777) + 1)\n\
         attempt(lambda: call(240, b'queue', 0o102, 0o600, 0))",
    )
    .control(),
    held(
        "fill /dev/shm",
        "def fill():\n    n = 0\n    with open('/dev/shm/left', 'wb') as file:\n        for n in range(64):\n            file.write(bytes(1 << 20))\n            file.flush()\n    return n\nattempt(fill)",
    ),
    held(
        "fill the disk with many files",
        "def fill():\n    for n in range(60):\n        with open('f%d' % n, 'wb') as file: file.write(bytes(900 << 10))\n    return n\nattempt(fill)",
    )
    .gap("the sum of what is written is not limited"),
    held(
        "fill the disk with files that have no name",
        "def fill():\n    kept = []\n    for n in range(40):\n        kept.append(open('f', 'wb'))\n        kept[-1].write(bytes(900 << 10))\n        kept[-1].flush()\n        os.unlink('f')\n    return n\nattempt(fill)",
    )
    .gap("the sum of what is written is not limited"),
    held(
        "use up the disk's files",
        "def fill():\n    for n in range(2000): os.close(os.open('f%d' % n, os.O_CREAT | os.O_WRONLY))\n    return n\nattempt(fill)",
    )
    .gap("the number of files is not limited"),
    held(
        "write one huge file",
        "def fill():\n    with open('f', 'wb') as file:\n        file.truncate(1 << 40)\n    return True\nattempt(fill)",
    ),
    ends(
        "leave folders that cannot be removed",
        "os.makedirs('a/b/c')\nopen('a/b/c/f', 'w').close()\nos.chmod('a/b/c', 0)\nos.chmod('a/b', 0o500)\nos.chmod('a', 0)\nos.chmod('.', 0o500)\nprint('held until the end of the run')",
        &[End::Held],
    ),
    ends(
        "leave folders deeper than any path",
        "n = 0\ntry:\n    for n in range(1500):\n        os.mkdir('d')\n        os.chdir('d')\nexcept OSError: pass\nprint('held at', n)",
        &[End::Held, End::TimedOut],
    ),
    held(
        "take memory in the buffers of sockets",
        "def fill():\n    kept, held = [], 0\n    while len(kept) < 400:\n        a, b = socket.socketpair()\n        \
         a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 20)\n        kept += [a, b]\n    return len(kept)\nattempt(fill)",
    ),
    ends(
        "write without end",
        "while True: print('spam' * 1000)",
        &[End::OutputLimit],
    ),
    ends(
        "write without end, to the other stream, past Python",
        "while True: os.write(2, b'x' * 65536)",
        &[End::OutputLimit],
    ),
    ends(
        "write without end from a daemon",
        "if os.fork() == 0:\n    os.setsid()\n    while True:\n        os.write(1, b'x' * 65536)\ntime.sleep(1000)",
        &[End::OutputLimit],
    ),
];
