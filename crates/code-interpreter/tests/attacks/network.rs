//! Sockets of every family that could leave the sandbox.

use crate::suite::{Attack, held};

pub const ATTACKS: &[Attack] = &[
    held(
        "connect to a TCP port of the machine",
        "attempt(lambda: socket.create_connection(('127.0.0.1', {PORT}), 2).send(b'x'))",
    )
    .control(),
    held(
        "connect to a TCP port over IPv6",
        "s = attempt(lambda: socket.socket(socket.AF_INET6, socket.SOCK_STREAM))",
    )
    .control(),
    held(
        "send a UDP packet to the machine",
        "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {UDP})))",
    )
    .control(),
    held(
        "listen on a port",
        "def listen():\n    s = socket.socket()\n    s.bind(('127.0.0.1', 0))\n    s.listen()\n    return True\nattempt(listen)",
    )
    .control(),
    held(
        "open a raw socket",
        "attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))",
    ),
    held(
        "open a packet socket",
        "attempt(lambda: socket.socket(17, socket.SOCK_RAW, 0x300))",
    ),
    held(
        "open a netlink socket",
        "attempt(lambda: socket.socket(16, socket.SOCK_RAW, 0))",
    )
    .control(),
    held(
        "open a vsock",
        "attempt(lambda: socket.socket(40, socket.SOCK_STREAM, 0))",
    ),
    held(
        "open a socket of the kernel's cryptography",
        "attempt(lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0))",
    ),
    held(
        "connect to an abstract unix socket of the machine",
        "def connect():\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('\\0{ABSTRACT}')\n    return True\nattempt(connect)",
    )
    .control(),
    held(
        "connect to a unix socket by its path",
        "def connect():\n    s = socket.socket(socket.AF_UNIX)\n    s.connect('{SOCKET}')\n    return True\nattempt(connect)",
    )
    .control(),
    held(
        "send a datagram to a unix socket through one end of a pair",
        "attempt(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', '{DATAGRAMS}'))",
    )
    .control(),
    held(
        "bring the loopback device up and connect through it",
        "import fcntl, struct\ndef up():\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    \
         fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 1))\n    return True\nattempt(up)",
    ),
];
