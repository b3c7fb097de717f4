//! Files, environments, descriptors and memory that are not the code's.

use crate::suite::{Attack, held};

pub const ATTACKS: &[Attack] = &[
    held("read a file outside", "attempt(lambda: open('{SECRET}').read())").control(),
    held(
        "read a file outside through a link",
        "os.symlink('{SECRET}', 'link')\nattempt(lambda: open('link').read())",
    )
    .control(),
    held(
        "read a file outside through a hard link",
        "def link():\n    os.link('{SECRET}', 'hard')\n    return open('hard').read()\nattempt(link)",
    ),
    held(
        "read a file outside through /proc/self/root",
        "attempt(lambda: open('/proc/self/root{SECRET}').read())",
    )
    .control(),
    held(
        "read a file outside through /proc/1/root",
        "attempt(lambda: open('/proc/1/root{SECRET}').read())",
    ),
    held(
        "read a file outside by going up from the working folder",
        "attempt(lambda: open('../' * 40 + '{SECRET}'[1:]).read())",
    )
    .control(),
    held(
        "write a file outside",
        "attempt(lambda: open('{OUTSIDE}/written', 'w').write('x'))",
    ),
    held(
        "write into the interpreter's own folder",
        "attempt(lambda: open(os.__file__ + '.new', 'w').write('x'))\n\
         attempt(lambda: os.chmod(os.__file__, 0o777))\nattempt(lambda: os.rename(os.__file__, os.__file__ + '.old'))",
    ),
    held(
        "list the folders of other runs and of the host",
        // Home folders have nothing but the way to the interpreter, where it lies in one.
        "attempt(lambda: os.listdir('{OUTSIDE}'))\nown = [sys.executable, os.path.realpath(sys.executable), sys.prefix, sys.base_prefix] + sys.path\n\
         for home in ('/home', '/root'):\n    \
         attempt(lambda: [n for n in os.listdir(home) if not any((path + '/').startswith(home + '/' + n + '/') for path in own)])",
    ),
    held(
        "read the machine's passwords",
        "attempt(lambda: open('/etc/shadow').read())",
    ),
    held(
        "read the environment of the host program",
        "attempt(lambda: open('/proc/{PID}/environ').read())",
    )
    .control(),
    held(
        "read the environment of the driver",
        "attempt(lambda: open('/proc/{DRIVER}/environ').read())\n\
         attempt(lambda: open('/proc/%d/environ' % os.getppid()).read())",
    ),
    held(
        "read the memory of the driver",
        "attempt(lambda: open('/proc/{DRIVER}/mem', 'rb'))\nattempt(lambda: open('/proc/%d/mem' % os.getppid(), 'rb'))",
    ),
    held(
        "read the command line of the host program",
        "attempt(lambda: open('/proc/{PID}/cmdline').read())",
    )
    .control(),
    held(
        "find a key in its own environment",
        "attempt(lambda: {k: v for k, v in os.environ.items() if 'KEY' in k or 'TOKEN' in k or 'EURUS' in k or 'CARGO' in k})",
    ),
    held(
        "use a descriptor that it was not given",
        "import stat\ndef foreign():\n    found = []\n    for fd in range(0, 1024):\n        try: kind = os.fstat(fd).st_mode\n        \
         except OSError: continue\n        if fd > 2 and not stat.S_ISFIFO(kind): found.append((fd, oct(kind)))\n        \
         if fd > 5: found.append((fd, oct(kind)))\n    return found\nattempt(foreign)",
    ),
    held(
        "open a folder by its handle",
        "import struct\nroot = os.open('.', os.O_RDONLY)\nhandle = ctypes.create_string_buffer(struct.pack('Ii', 128, 0) + bytes(128))\n\
         attempt(lambda: call(303, -100, b'/', handle, ctypes.byref(ctypes.c_int()), 0))\n\
         attempt(lambda: call(304, root, handle, 0))",
    ),
    held(
        "leave the root by chroot",
        "def leave():\n    os.mkdir('jail')\n    os.chroot('jail')\n    os.chdir('../' * 20)\n    return True\nattempt(leave)",
    ),
    held(
        "read the kernel's log and keys",
        "attempt(lambda: open('/proc/kmsg').read(10))\nattempt(lambda: open('/proc/keys').read())\nattempt(lambda: call(103, 3, ctypes.create_string_buffer(100), 100))",
    ),
    held(
        "see other processes",
        "attempt(lambda: [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid()])",
    )
    .control(),
    held(
        "see the machine's mounts",
        "attempt(lambda: [l for l in open('/proc/self/mountinfo') if '{OUTSIDE}'.split('/')[1] == l.split()[4].split('/')[1] != 'tmp'])\n\
         attempt(lambda: [l for l in open('/proc/mounts') if l.startswith('cgroup')])",
    )
    .gap("the table of mounts is the machine's"),
];
