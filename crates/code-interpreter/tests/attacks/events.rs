//! Forged, broken and missing words on the worker's own pipes: they may spoil the run that sends them and no other.

use crate::suite::{Attack, End, ends};

/// Whatever the run is called is right, as long as the next one is judged by itself.
const ANY: &[End] = &[
    End::Held,
    End::Died,
    End::TimedOut,
    End::Raised,
    End::OutOfMemory,
    End::OutputLimit,
];
const FAILED: &[End] = &[End::Died];

pub const ATTACKS: &[Attack] = &[
    ends(
        "forge an event",
        "os.write(4, b'{\"status\": \"ok\"}\\n')\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "forge an event with the key of this cell",
        "frame = sys._getframe()\nwhile 'self' not in frame.f_locals: frame = frame.f_back\nkey = frame.f_locals['self'].key\n\
         print('held' if isinstance(key, str) else 'THROUGH: no key')\n\
         os.write(4, b'{\"status\": \"ok\", \"key\": \"%s\"}\\n' % key.encode())\ntime.sleep(1000)",
        &[End::Held],
    ),
    ends(
        "forge two events with the key of this cell",
        "frame = sys._getframe()\nwhile 'self' not in frame.f_locals: frame = frame.f_back\nkey = frame.f_locals['self'].key\n\
         os.write(4, b'{\"status\": \"ok\", \"key\": \"%s\"}\\n' % key.encode() * 2)\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "forge an event of the machine's trouble",
        "os.write(4, b'{\"status\": \"failed\", \"message\": \"no more processes\"}\\n')\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "say that it is ready, again",
        "os.write(4, b'ready\\n')\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "write half an event",
        "os.write(4, b'{\"status\": ')",
        FAILED,
    ),
    ends(
        "write what is no text",
        "os.write(4, bytes(range(256)) + b'\\n')\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "write an event that is nested too deeply",
        "os.write(4, b'[' * 60000 + b'\\n')\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "write an event that never ends",
        "while True: os.write(4, b'x' * 65536)",
        FAILED,
    ),
    ends(
        "write events of the wrong types",
        "frame = sys._getframe()\nwhile 'self' not in frame.f_locals: frame = frame.f_back\nkey = frame.f_locals['self'].key\n\
         os.write(4, ('{\"status\": \"exception\", \"kind\": {\"a\": 1}, \"message\": 1e999, \"wall\": \"x\", \"signal\": [], \"key\": \"%s\"}\\n' % key).encode())\ntime.sleep(1000)",
        &[End::Raised],
    ),
    ends(
        "close the event pipe",
        "os.close(4)\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "close every pipe",
        "os.closerange(0, 100)\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "read the commands that are not its own",
        "os.set_blocking(3, False)\ntry: print('THROUGH', os.read(3, 100))\nexcept OSError as error: print('held', error)\nos.set_blocking(3, True)",
        &[End::Held],
    ),
    ends(
        "answer for the next cell from a daemon",
        "if os.fork() == 0:\n    os.setsid()\n    while True:\n        os.write(4, b'{\"status\": \"ok\"}\\n')\n        time.sleep(0.001)\ntime.sleep(0.2)",
        FAILED,
    ),
    ends(
        "leave by every door at once",
        "import atexit, threading\natexit.register(lambda: os.write(4, b'x\\n'))\nthreading.Timer(0.05, os._exit, [0]).start()\ntime.sleep(1000)",
        FAILED,
    ),
    ends(
        "replace the parts of the worker that report",
        "import json\njson.dumps = lambda *a, **k: '[]'\nprint('held by its own deeds')",
        FAILED,
    ),
    ends(
        "take the worker's own objects apart",
        "print('held')\nimport gc\nfor thing in gc.get_objects():\n    if isinstance(thing, dict) and 'limits' in thing: thing.clear()\nfor name in list(sys.modules):\n    sys.modules[name] = None",
        ANY,
    ),
    ends(
        "exit in the middle, with another's status",
        "os._exit(137)",
        FAILED,
    ),
];
