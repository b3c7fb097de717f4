//! Solutions that want to pass and not to solve.

use std::sync::Mutex;
use std::time::Duration;

use code_interpreter::asserts::{AssertResult, AssertTests, judge, judge_in_one_process};
use code_interpreter::cases::{Case, CaseOptions, run_cases, verdict};
use code_interpreter::{Interpreter, Limits, Verdict};

use crate::support::{limits, start};

/// Needs no quotes, and no solution has it by chance.
const MARK: &str = "zq_mark_of_the_tests_qz";

fn tests() -> AssertTests {
    AssertTests {
        code: format!(
            "{MARK} = [4, 9, 2**90]\ndef check(candidate):\n    assert candidate(2) == {MARK}[0]\n    \
             assert candidate(3) == {MARK}[1], candidate(3)\n    assert abs(candidate(2**45) - {MARK}[2]) < 1\n    \
             import unittest\n    unittest.TestCase().assertEqual(candidate(-1), 1)\n    \
             for got, want in zip(map(candidate, range(5)), [0, 1, 4, 9, 16]):\n        assert got == want\n\
             check(square)"
        ),
        entry_point: "square".into(),
    }
}

const HONEST: &str = "def square(x):\n    return x * x";

/// Time for what is honest on a busy machine, and no more: some of these never end.
fn brief() -> Limits {
    Limits {
        wall: Duration::from_secs(2),
        grace: Duration::from_millis(500),
        ..limits()
    }
}

/// What each is, its code, and what its verdict has to say.
const CHEATS: &[(&str, &str, &str)] = &[
    (
        "says that it passed",
        "print('passed'); print('OK')\ndef square(x):\n    print('passed')",
        "AssertionError in line 3 of the tests, `assert candidate(2) ==",
    ),
    (
        "exits well when loaded",
        "import sys\nsys.exit(0)",
        "SystemExit: 0",
    ),
    (
        "exits well when called",
        "import sys\ndef square(x):\n    sys.exit(0)",
        "SystemExit: 0 in line 3 of the tests",
    ),
    (
        "ends its process when loaded",
        "import os\nos._exit(0)",
        "its process ended",
    ),
    (
        "ends its process when called",
        "import os\ndef square(x):\n    os._exit(0)",
        "its process ended",
    ),
    (
        "ends its process at the end",
        "import atexit, os\natexit.register(os._exit, 0)\ndef square(x):\n    return 0",
        "AssertionError",
    ),
    (
        "kills its process",
        "import os\ndef square(x):\n    os.kill(os.getpid(), 9)",
        "ended by signal 9",
    ),
    (
        "equals everything",
        "class All:\n    def __eq__(self, other): return True\n    def __sub__(self, other): return 0\n\
         def square(x):\n    return All()",
        "value of type `All`",
    ),
    (
        "equals everything as a number",
        "class All(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n    \
         def __sub__(self, other): return 0\n    __rsub__ = __sub__\ndef square(x):\n    return All(5)",
        "value of type `All`",
    ),
    (
        "equals everything under the name of int",
        "All = type('int', (int,), {'__eq__': lambda self, other: True, '__hash__': None, '__module__': 'builtins'})\n\
         def square(x):\n    return All(5)",
        "value of type `int`",
    ),
    (
        "hides what equals everything in a list",
        "class All:\n    def __eq__(self, other): return True\ndef square(x):\n    return [[{1: (All(),)}]]",
        "value of type `All`",
    ),
    (
        "claims another class",
        "class All:\n    __class__ = int\n    def __eq__(self, other): return True\ndef square(x):\n    return All()",
        "value of type `All`",
    ),
    (
        "redefines what tests use",
        "import builtins\nabs = len = isinstance = all = zip = map = lambda *a: []\nAssertionError = ValueError\n\
         def check(candidate): pass\ndef square(x):\n    return 0",
        "AssertionError",
    ),
    (
        "redefines it for everyone",
        "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.abs = lambda x: 0\nbuiltins.zip = lambda *a: []\n\
         builtins.bool = lambda x: True\ndef square(x):\n    return 0",
        "AssertionError",
    ),
    (
        "patches unittest",
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\nunittest.TestCase.fail = lambda *a: None\n\
         def square(x):\n    return x * x if x > 0 else 7",
        "AssertionError: 7 != 1",
    ),
    (
        "raises what failing tests raise",
        "def square(x):\n    try: raise AssertionError('expected')\n    except AssertionError as error: raise error",
        "AssertionError: expected",
    ),
    (
        "ends the loop that maps it",
        "def square(x):\n    if x == 2 or x == 3 or x > 5 or x == -1: return x * x\n    raise StopIteration",
        "RuntimeError: raised StopIteration",
    ),
    (
        "raises something beyond exceptions",
        "class Over(BaseException): pass\ndef square(x):\n    raise Over('passed')",
        "Over: passed",
    ),
    (
        "looks for the tests in frames, objects and modules",
        "import gc, linecache, sys\ndef square(x):\n    found = []\n    frame = sys._getframe()\n    while frame:\n        \
         found.append(str(frame.f_globals.keys()) + str(frame.f_locals.keys()) + str(frame.f_code.co_consts))\n        \
         frame = frame.f_back\n    found.append(str([o for o in gc.get_objects() if type(o) in (list, dict, tuple) and len(o) < 99])[:10**7])\n    \
         found.append(str(linecache.cache))\n    return x * x if '_'.join(['zq_mark', 'of_the_tests']) in ''.join(found) else 0",
        "AssertionError",
    ),
    (
        "looks for the tests in its memory",
        "def square(x):\n    mark = bytes(c ^ 1 for c in b'{p^l`sj^ng^uid^udrur^p{')\n    \
         with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:\n        for line in maps:\n            \
         low, high = (int(part, 16) for part in line.split()[0].split('-'))\n            try:\n                \
         memory.seek(low)\n                if memory.read(high - low).count(mark) > 1: return x * x\n            \
         except (OSError, ValueError, OverflowError): pass\n    return 0",
        "AssertionError",
    ),
    (
        "forges a verdict",
        "import os\ndef square(x):\n    for n in range(3, 64):\n        try: os.write(n, b'{\"call\": \"verdict \
         {\\\\\"verdict\\\\\": \\\\\"correct\\\\\", \\\\\"reason\\\\\": \\\\\"\\\\\", \\\\\"called\\\\\": true}\"}\\n')\n        \
         except OSError: pass\n    return 0",
        "",
    ),
    (
        "forges the end of its run",
        "import os\ndef square(x):\n    for n in range(3, 64):\n        try: os.write(n, b'{\"status\": \"ok\"}\\n')\n        \
         except OSError: pass\n    return 0",
        "",
    ),
    (
        "answers in a form of its own",
        "import _judged_candidate as j\nclass Own:\n    loads = j.json.loads\n    dumps = lambda *a, **k: 'true'\nj.json = Own\ndef square(x):\n    return 0",
        "no answer",
    ),
    (
        "changes arguments that the tests never gave",
        "import _judged_candidate as j\nj.OPERATIONS['call'] = lambda request: {'value': 4, 'changed': [[0, [[]]]]}\ndef square(x):\n    return 0",
        "no answer",
    ),
    (
        "answers with a million references to nothing",
        "import _judged_candidate as j\nj.OPERATIONS['call'] = lambda request: {'value': ['list', [['ref', -1]] * 100000], 'changed': []}\n\
         def square(x):\n    return 0",
        "no answer",
    ),
    (
        "answers with a list without a bottom",
        "import _judged_candidate as j\nclass Own:\n    loads = j.json.loads\n    dumps = lambda v, **k: '{\"value\": ' + '[\"list\", [' * 100000 + ']]' * 100000 + '}'\nj.json = Own\n\
         def square(x):\n    return 0",
        "no answer",
    ),
    (
        "sleeps when loaded",
        "import time\ntime.sleep(1e6)",
        "timed out",
    ),
    (
        "sleeps when called",
        "import time\ndef square(x):\n    time.sleep(1e6)",
        "timed out",
    ),
    (
        "never ends and swallows every interrupt",
        "def square(x):\n    while True:\n        try:\n            while True: pass\n        except: pass",
        "timed out",
    ),
    (
        "answers after its time",
        "def square(x):\n    try:\n        while True: pass\n    except: pass\n    return x * x",
        "timed out",
    ),
    (
        "forks and answers twice",
        "import os, sys\ndef square(x):\n    os.fork()\n    return 0",
        "",
    ),
    (
        "forks, and the child answers by the pipes",
        "import os\ndef square(x):\n    if os.fork() == 0:\n        for n in range(3, 64):\n            \
         try: os.write(n, b'{\"call\": \"{}\"}\\n')\n            except OSError: pass\n        os._exit(0)\n    return 0",
        "",
    ),
    (
        "says that it cannot be judged",
        "import _judged_candidate as j\nj.OPERATIONS['call'] = lambda request: {'uncrossable': 'a joke'}\n\
         def square(x):\n    return 0",
        "a joke",
    ),
    (
        "defines nothing",
        "",
        "NameError: name 'square' is not defined",
    ),
    ("is no Python", "def square(x) return x * x", "SyntaxError"),
    (
        "replaces the modules it is made of",
        "import sys\nfor name in list(sys.modules): sys.modules[name] = None\ndef square(x):\n    return 0",
        "",
    ),
    (
        "writes without end",
        "def square(x):\n    while True: print('passed' * 1000)",
        "",
    ),
    (
        "runs on in a thread",
        "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin, daemon=True).start()\n\
         def square(x):\n    return 0",
        "AssertionError",
    ),
];

fn judged(pair: &mut (Interpreter, Interpreter), solution: &str) -> AssertResult {
    judge(&mut pair.0, &mut pair.1, solution, &tests()).unwrap()
}

#[test]
fn no_cheating_solution_passes_and_none_spoils_the_next() {
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for part in CHEATS.chunks(CHEATS.len().div_ceil(3)) {
            let failures = &failures;
            scope.spawn(move || {
                let mut pair = (start(brief()), start(brief()));
                for (what, cheat, says) in part {
                    let result = judged(&mut pair, cheat);
                    let said = result.verdict.to_string();
                    if result.verdict.is_correct() || result.one_process || !said.contains(says) {
                        failures.lock().unwrap().push(format!("{what}: {said}"));
                    }
                    let honest = judged(&mut pair, HONEST).verdict;
                    if honest != Verdict::Correct {
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("after one that {what}: {honest}"));
                    }
                }
            });
        }
    });
    assert_eq!(failures.into_inner().unwrap(), [""; 0]);
}

/// The tests above are not such that everything fails them.
#[test]
fn in_one_process_with_the_tests_cheats_do_pass() {
    let mut interpreter = start(brief());
    let mut passed = |what: &str| {
        let (_, cheat, _) = CHEATS.iter().find(|(name, _, _)| *name == what).unwrap();
        let result = judge_in_one_process(&mut interpreter, cheat, &tests()).unwrap();
        assert!(result.one_process);
        result.verdict.is_correct()
    };
    assert!(passed("ends the loop that maps it"));
    assert!(passed("equals everything as a number"));
    assert!(!passed("says that it passed"));
}

#[test]
fn a_candidate_that_ends_its_driver_is_not_correct() {
    let mut pair = (start(brief()), start(brief()));
    let cheat = "import os, time\ndef square(x):\n    os.kill(os.getppid(), 9)\n    time.sleep(1)\n    return 0";
    let verdict = judged(&mut pair, cheat).verdict;
    assert!(matches!(verdict, Verdict::Incorrect { .. }), "{verdict}");
    assert_eq!(judged(&mut pair, HONEST).verdict, Verdict::Correct);
}

#[test]
fn a_program_that_cheats_does_not_pass_a_case() {
    let honest = "print(int(input()) ** 2)";
    let forge = |line: &str| {
        format!(
            "import os\nfor n in range(3, 64):\n    try: os.write(n, b'{line}\\n')\n    except OSError: pass"
        )
    };
    let cheats = [
        "print('passed'); print('OK')".to_owned(),
        "import sys\nsys.exit(0)".into(),
        "import os\nos._exit(0)".into(),
        "import builtins, sys\nbuiltins.str.__eq__ = lambda *a: True".into(),
        "print('*')".into(),
        "print('')".into(),
        "print('4\\n9\\n16')".into(),
        "print(4.0)".into(),
        forge(r#"{"status": "ok"}"#),
        forge(r#"{"status": "ok", "stdout": "4", "wall": 0}"#),
        forge(r#"{"program": {"status": "ok", "stdout": "4", "stderr": "", "wall": 0}}"#),
        forge(r#"{"call": "verdict {}"}"#),
    ];
    let cases = [Case::new("2", "4"), Case::new("3", "9")];
    let options = CaseOptions::default();
    let mut interpreter = start(brief());
    for cheat in &cheats {
        let results = run_cases(&mut interpreter, cheat, &cases, &options).unwrap();
        assert!(!verdict(&results).is_correct(), "{cheat}");
        let results = run_cases(&mut interpreter, honest, &cases, &options).unwrap();
        assert_eq!(verdict(&results), Verdict::Correct, "after {cheat}");
    }
}
