//! System calls that reach the kernel's rarer parts, or other namespaces.

use crate::suite::{Attack, End, ends, held};

pub const ATTACKS: &[Attack] = &[
    held("make a user namespace", "attempt(lambda: call(272, 0x10000000))").control(),
    held(
        "make a user namespace by clone",
        "def clone():\n    pid = call(56, 0x10000000 | 17, 0, 0, 0, 0)\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\n    return True\nattempt(clone)",
    )
    .control(),
    held(
        "make a user namespace by clone3",
        "import struct\narguments = ctypes.create_string_buffer(struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0))\n\
         def clone():\n    pid = call(435, arguments, 64)\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)\n    return True\nattempt(clone)",
    )
    .control(),
    held(
        "make a time namespace by clone3",
        "import struct\narguments = ctypes.create_string_buffer(struct.pack('8Q', 0x80, 0, 0, 0, 17, 0, 0, 0))\n\
         attempt(lambda: call(435, arguments, 64))",
    ),
    held(
        "enter the namespaces of the host program",
        "attempt(lambda: os.open('/proc/{PID}/ns/mnt', os.O_RDONLY))\nattempt(lambda: call(308, os.open('/proc/self/ns/user', os.O_RDONLY), 0))",
    ),
    held(
        "mount, unmount, move the root",
        "attempt(lambda: call(165, b'none', b'/tmp', b'tmpfs', 0, 0))\nattempt(lambda: call(165, b'/', b'/', 0, 0x1000, 0))\n\
         attempt(lambda: call(166, b'/proc', 2))\nattempt(lambda: call(155, b'.', b'.'))\n\
         attempt(lambda: call(165, 0, b'/', 0, 0x1000 | 32, 0))",
    ),
    held(
        "mount by the newer calls",
        "attempt(lambda: call(430, b'tmpfs', 0))\nattempt(lambda: call(428, -100, b'/', 1))\nattempt(lambda: call(442, -100, b'/', 0, bytes(32), 32))",
    ),
    held("set up io_uring", "attempt(lambda: call(425, 4, ctypes.create_string_buffer(120)))").control(),
    held(
        "add a key to the kernel's",
        "attempt(lambda: call(248, b'user', b'k', b'x', 1, -3))\nattempt(lambda: call(250, 1, 0, 0, 0, 0))",
    )
    .control(),
    held("handle page faults for the kernel", "attempt(lambda: call(323, 1))").control(),
    held("load a program into the kernel", "attempt(lambda: call(321, 0, ctypes.create_string_buffer(72), 72))"),
    held(
        "watch the machine's counters",
        "import struct\nattempt(lambda: call(298, struct.pack('IIQQQQ', 1, 120, 0, 0, 0, 0) + bytes(80), 0, -1, -1, 0))",
    ),
    ends(
        "call the kernel as a 32-bit program does (int 0x80)",
        "import mmap\ncode = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE, prot=7)\ncode.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n\
         address = ctypes.addressof(ctypes.c_char.from_buffer(code))\n\
         print('THROUGH', ctypes.CFUNCTYPE(ctypes.c_int)(address)())",
        &[End::Died],
    )
    .control(),
    held("call the kernel by the x32 convention", "attempt(lambda: call(0x40000000 + 39))"),
    held(
        "change segments, the personality, ports",
        "attempt(lambda: call(154, 1, bytes(16), 16))\nattempt(lambda: call(135, 0x0040000))\nattempt(lambda: call(172, 3))\nattempt(lambda: call(173, 0, 100, 1))",
    )
    .control(),
    held(
        "become root",
        "attempt(lambda: os.setuid(0))\nattempt(lambda: os.setgroups([0]))\nattempt(lambda: call(126, (ctypes.c_uint * 2)(0x20080522, 0), (ctypes.c_uint * 6)(*[0xffffffff] * 6)))",
    ),
    held(
        "become root by a set-uid program",
        "import subprocess\ndef su():\n    done = subprocess.run(['su', '-c', 'id -u'], capture_output=True, stdin=subprocess.DEVNULL)\n    \
         return done.stdout == b'0\\n'\nattempt(su)\n\
         def own():\n    import shutil\n    shutil.copy('/usr/bin/id', 'id')\n    os.chmod('id', 0o6755)\n    \
         return subprocess.run(['./id', '-u'], capture_output=True).stdout.strip() == b'0'\nattempt(own)",
    ),
    held(
        "make a device",
        "attempt(lambda: os.mknod('disk', 0o60666, os.makedev(8, 0)))\nattempt(lambda: os.mknod('mem', 0o20666, os.makedev(1, 1)))",
    ),
    held(
        "change the machine's settings",
        "attempt(lambda: open('/proc/sys/kernel/core_pattern', 'w').write('|/tmp/x'))\nattempt(lambda: open('/proc/sysrq-trigger', 'w').write('b'))\n\
         attempt(lambda: call(170, b'owned', 5))\nattempt(lambda: call(227, 0, bytes(16)))\nattempt(lambda: call(169, 0xfee1dead, 672274793, 0, 0))",
    ),
    held(
        "load a module, another kernel, swap, quotas",
        "attempt(lambda: call(175, bytes(8), 8, b''))\nattempt(lambda: call(246, 0, 0, 0, 0))\nattempt(lambda: call(167, b'/tmp/x', 0))\nattempt(lambda: call(179, 0, 0, 0, 0))",
    ),
    held(
        "type into a terminal",
        "import fcntl\nattempt(lambda: fcntl.ioctl(0, 0x5412, b'x'))\nattempt(lambda: fcntl.ioctl(1, 0x541c, bytes([2, 0])))\nattempt(lambda: open('/dev/tty'))",
    ),
    held(
        "watch files of the machine by fanotify",
        "attempt(lambda: call(300, 0, 0))",
    ),
    held(
        "put a filter of its own before the sandbox's",
        "import struct\nprogram = ctypes.create_string_buffer(struct.pack('HBBI', 6, 0, 0, 0x7fff0000))\n\
         class Header(ctypes.Structure):\n    _fields_ = [('n', ctypes.c_ushort), ('p', ctypes.c_void_p)]\n\
         h = Header(1, ctypes.cast(program, ctypes.c_void_p))\nlibc.prctl(22, 2, ctypes.byref(h))\n\
         attempt(lambda: call(272, 0x10000000))",
    ),
];
