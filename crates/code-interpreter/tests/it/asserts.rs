//! What crosses between tests and candidate, and what does not.

use std::cell::RefCell;

use code_interpreter::asserts::{AssertTests, judge};
use code_interpreter::{Cause, Interpreter, Limits, Verdict};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{limits, start};

/// Two interpreters, for many judgements.
struct Pair(Interpreter, Interpreter);

impl Pair {
    fn start() -> Self {
        Self(start(limits()), start(limits()))
    }

    fn judge(&mut self, solution: &str, code: &str) -> Verdict {
        let asserts = AssertTests {
            code: code.into(),
            entry_point: "f".into(),
        };
        judge(&mut self.0, &mut self.1, solution, &asserts)
            .unwrap()
            .verdict
    }

    fn correct(&mut self, solution: &str, code: &str) {
        assert_eq!(
            self.judge(solution, code),
            Verdict::Correct,
            "{solution}\n{code}"
        );
    }

    fn incorrect(&mut self, solution: &str, code: &str, says: &str) {
        match self.judge(solution, code) {
            Verdict::Incorrect { reason, .. } if reason.contains(says) => {}
            other => panic!("{other}\n{solution}\n{code}"),
        }
    }

    fn unjudged(&mut self, solution: &str, code: &str, says: &str) {
        match self.judge(solution, code) {
            Verdict::Unjudged { reason } if reason.contains(says) => {}
            other => panic!("{other}\n{solution}\n{code}"),
        }
    }
}

#[test]
fn what_a_solution_does_to_its_arguments_is_seen() {
    let mut pair = Pair::start();
    pair.correct(
        "def f(xs):\n    xs.sort()",
        "xs = [3, 1, 2]\nassert f(xs) is None\nassert xs == [1, 2, 3]",
    );
    pair.correct(
        "def f(d, s, b, q):\n    d['k'] = [s]\n    s.add(5)\n    b += b'x'\n    q.append(1)",
        "import collections\nd, s, b, q = {}, {1}, bytearray(b'a'), collections.deque([0], 2)\nf(d, s, b=b, q=q)\n\
         assert d['k'][0] is s and s == {1, 5} and b == b'ax' and list(q) == [0, 1]",
    );
    // Shared rows are shared on the other side.
    pair.correct(
        "def f(grid):\n    grid[0][0] = 1\n    return grid",
        "grid = [[0] * 2] * 2\nassert f(grid) is grid and grid == [[1, 0], [1, 0]]",
    );
    pair.correct(
        "def f(xs):\n    return xs[1], xs",
        "xs = [[1], [2]]\na, b = f(xs)\nassert a is xs[1] and b is xs",
    );
    pair.correct(
        "def f(a):\n    b = [a]\n    a.append(b)\n    return b",
        "a = []\nb = f(a)\nassert b[0] is a and a[0] is b and len(a) == len(b) == 1",
    );
    pair.correct(
        "def f(xs):\n    xs.pop()\n    raise ValueError",
        "xs = [1]\ntry: f(xs)\nexcept ValueError: assert xs == []\nelse: assert False",
    );
    pair.incorrect(
        "def f(xs):\n    xs.clear()\n    return 3",
        "xs = [1, 2]\nassert f(xs) == 3\nassert xs == [1, 2], xs",
        "AssertionError: [] in line 3 of the tests, `assert xs == [1, 2], xs`",
    );
}

#[test]
fn iterators_arrive_as_iterators_and_not_as_lists() {
    let mut pair = Pair::start();
    for solution in [
        "def f(n):\n    yield from range(n)",
        "def f(n):\n    return map(int, range(n))",
        "def f(n):\n    return iter(list(range(n)))",
        "import itertools\ndef f(n):\n    return itertools.islice(itertools.count(), n)",
    ] {
        pair.correct(
            solution,
            "assert list(f(3)) == [0, 1, 2]\nassert next(f(1)) == 0",
        );
        pair.incorrect(solution, "assert f(3) == [0, 1, 2]", "AssertionError");
        pair.unjudged(solution, "f(10001)", "iterator of more than 10000 items");
    }
    pair.correct(
        "def f(d):\n    return d.keys(), d.values(), d.items()",
        "k, v, i = f({1: 2})\nassert k == {1} and list(v) == [2] and i == {(1, 2)} and v != [2]",
    );
}

#[test]
fn exceptions_arrive_as_the_builtin_class_that_they_come_from() {
    let mut pair = Pair::start();
    for (solution, kind, then) in [
        (
            "def f():\n    raise ValueError('no', 3)",
            "ValueError",
            "error.args == ('no', 3)",
        ),
        ("def f():\n    {}['k']", "KeyError", "str(error) == \"'k'\""),
        (
            "class Own(LookupError): pass\ndef f():\n    raise Own('x')",
            "LookupError",
            "type(error) is LookupError",
        ),
        (
            "def f():\n    open('/no/file')",
            "FileNotFoundError",
            "error.errno == 2",
        ),
        (
            "def f():\n    b'\\xff'.decode()",
            "UnicodeDecodeError",
            "error.start == 0",
        ),
        (
            "def f():\n    raise ValueError(object())",
            "ValueError",
            "'object' in str(error)",
        ),
    ] {
        let code = format!(
            "try:\n    f()\n    raise SystemExit\nexcept {kind} as error:\n    assert {then}"
        );
        pair.correct(solution, &code);
    }
    pair.incorrect(
        "def f():\n    return 1 / 0",
        "assert f() == 1",
        "ZeroDivisionError: division by zero in line 1",
    );
    pair.incorrect(
        "def f():\n    return f()",
        "assert f() == 1",
        "RecursionError",
    );
    pair.incorrect(
        "raise KeyError(5)",
        "assert f() == 1",
        "it does not load: KeyError: 5",
    );
}

#[test]
fn what_cannot_cross_is_never_correct_even_if_the_tests_swallow_everything() {
    let mut pair = Pair::start();
    let swallow = "try:\n    f()\nexcept BaseException:\n    pass";
    for (value, says) in [
        ("object()", "`object`"),
        ("lambda: 1", "`function`"),
        ("__import__('re').match('a', 'a')", "`Match`"),
        ("type('L', (list,), {})()", "`L`"),
        ("__import__('enum').IntEnum('E', 'A').A", "`E`"),
        ("__import__('collections').namedtuple('N', 'a')(1)", "`N`"),
        (
            "__import__('collections').defaultdict(lambda: 1)",
            "factory of its own",
        ),
        ("[1, {2: (3, {4: int})}]", "`type`"),
        ("'x' * (17 << 20)", "16777216"),
    ] {
        let solution = format!("def f():\n    return {value}");
        pair.unjudged(&solution, "assert f()", says);
        pair.unjudged(&solution, swallow, says);
    }
    let deep = "def f():\n    x = []\n    for _ in range(5000): x = [x]\n    return x";
    pair.unjudged(deep, swallow, "nested too deeply");
    pair.unjudged(
        "def f(g):\n    return g(1)",
        "assert f(lambda x: x) == 1",
        "give `f` a value of type `function`",
    );
    pair.incorrect(
        "import os\ndef f():\n    os._exit(1)",
        swallow,
        "its process ended",
    );
}

#[test]
fn a_missing_package_is_unjudged_with_its_name_and_a_missing_part_of_python_is_not() {
    let mut pair = Pair::start();
    let test = "try:\n    assert f() == 1\nexcept ImportError:\n    pass";
    for solution in [
        "import no_such_package.part\ndef f():\n    return 1",
        "def f():\n    from no_such_package import x\n    return 1",
    ] {
        pair.unjudged(solution, test, "the package `no_such_package`");
    }
    pair.correct(
        "try:\n    import no_such_package\nexcept ImportError:\n    pass\ndef f():\n    return 1",
        test,
    );
    pair.incorrect(
        "import json.no_such_part\ndef f():\n    return 1",
        test,
        "does not load: ModuleNotFoundError",
    );
    pair.unjudged(
        "def f():\n    return 1",
        "import no_such_package\nassert f() == 1",
        "the tests need a module",
    );
}

#[test]
fn names_that_the_tests_lack_come_from_python_or_from_the_candidate_but_python_s_own_stay() {
    let mut pair = Pair::start();
    let solution = "import sys\nLIMIT = [1, 2]\ndef half(x):\n    return x / 2\ndef abs(x):\n    return 0\n\
                    def f(x):\n    return half(x)\nclass Own: pass";
    pair.correct(solution, "assert f(4) == half(4) == 2.0\nassert LIMIT == [1, 2]\nassert sys.maxsize > 1 and abs(-1) == 1");
    pair.incorrect(
        solution,
        "f(1)\nother(1)",
        "NameError: name 'other' is not defined",
    );
    pair.unjudged(solution, "f(1)\nOwn()", "`Own`");
    // What the problem gives is not the candidate's to replace, and a stub does not replace the candidate.
    let given = "def half(x):\n    return x // 2\ndef f(x):\n    \"\"\"Halves.\"\"\"\n";
    pair.correct(
        solution,
        &format!("{given}assert half(3) == 1 and f(3) == 1.5"),
    );
    let asserts = AssertTests {
        code: "assert sum(10, 15) == 6".into(),
        entry_point: "sum".into(),
    };
    let solution = "def sum(a, b):\n    return 6";
    let result = judge(&mut pair.0, &mut pair.1, solution, &asserts).unwrap();
    assert_eq!((result.verdict, result.calls), (Verdict::Correct, 2));
}

#[test]
fn tests_that_say_nothing_are_unjudged() {
    let mut pair = Pair::start();
    let solution = "def f(x=0):\n    return x";
    pair.unjudged(solution, "", "the tests never call `f`");
    pair.unjudged(
        solution,
        "def check(candidate):\n    assert candidate(1) == 2",
        "never call `f`",
    );
    pair.unjudged(solution, "assert f(1) == ", "the tests do not parse");
    pair.unjudged(
        solution,
        "f()\nimport os\nos._exit(0)",
        "the tests did not end",
    );
}

#[test]
fn each_process_pays_for_its_own_time() {
    let tight = Limits {
        wall: std::time::Duration::from_millis(1_500),
        ..limits()
    };
    let mut pair = Pair(start(tight.clone()), start(tight));
    // Together they take longer than either may.
    pair.correct(
        "import time\ndef f():\n    time.sleep(0.9)\n    return 1",
        "import time\ntime.sleep(0.9)\nassert f() == 1",
    );
    pair.incorrect(
        "import time\ndef f():\n    time.sleep(0.9)\n    return 1",
        "f()\nf()",
        "timed out",
    );
    let causes = [
        "import time\ndef f():\n    time.sleep(9)",
        "def f():\n    raise ValueError('timed out')",
    ]
    .map(|solution| match pair.judge(solution, "f()") {
        Verdict::Incorrect { cause, .. } => cause,
        other => panic!("{other}"),
    });
    assert_eq!(causes, [Cause::TimedOut, Cause::Failed]);
    pair.unjudged(
        "def f(): return 1",
        "import time\nf()\ntime.sleep(9)",
        "the tests did not end: timed out",
    );
}

#[test]
fn a_solution_is_a_module_with_a_name_and_is_not_run_as_a_program() {
    let mut pair = Pair::start();
    let solution = "from __future__ import annotations\nimport dataclasses, inspect, pickle\n@dataclasses.dataclass\nclass P:\n    \
                    x: int = 0\ndef f(x):\n    return pickle.loads(pickle.dumps(P(x))).x, inspect.getsource(f)[:5]\n\
                    if __name__ == '__main__':\n    print(input())";
    pair.correct(solution, "assert f(5) == (5, 'def f')");
}

/// Python that makes a plain value, hashable if asked for.
fn leaf() -> impl Strategy<Value = String> + Clone {
    let number = || any::<i64>();
    let float = || any::<f64>().prop_map(|x| format!("float('{x:?}')"));
    prop_oneof![
        Just("None".to_owned()),
        any::<bool>().prop_map(|b| if b { "True" } else { "False" }.into()),
        number().prop_map(|n| n.to_string()),
        (number(), 0..20_000_u32).prop_map(|(n, by)| format!("({n} << {by})")),
        float(),
        (float(), float()).prop_map(|(a, b)| format!("complex({a}, {b})")),
        // Every code point, surrogates too, alone and side by side.
        prop::collection::vec(
            prop_oneof![0..0x11_0000_u32, 0xd800..0xe000_u32, 0..0x80_u32],
            0..6
        )
        .prop_map(|points| format!("''.join(map(chr, {points:?}))")),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(|bytes| format!("bytes({bytes:?})")),
        (number(), number(), 1..9_i8).prop_map(|(a, b, c)| format!("range({a}, {b}, {c})")),
        (number(), -99..99_i8).prop_map(|(n, e)| format!("decimal.Decimal('{n}e{e}')")),
        Just("decimal.Decimal('-0.00')".to_owned()),
        Just("decimal.Decimal('NaN')".to_owned()),
        (number(), 1..i64::MAX).prop_map(|(a, b)| format!("fractions.Fraction({a}, {b})")),
        (1..9999_u32, 1..13_u32, 1..29_u32)
            .prop_map(|(y, m, d)| format!("datetime.date({y}, {m}, {d})")),
        (1..9999_u32, 0..24_u32, 0..1_000_000_u32, 0..2_u32).prop_map(|(y, h, us, fold)| format!(
            "datetime.datetime({y}, 1, 2, {h}, 4, 5, {us}, fold={fold})"
        )),
        (0..24_u32, -1439..1440_i32).prop_map(|(h, zone)| format!(
            "datetime.time({h}, tzinfo=datetime.timezone(datetime.timedelta(minutes={zone})))"
        )),
        (-999_999..999_999_i32, any::<i32>())
            .prop_map(|(d, us)| format!("datetime.timedelta({d}, 0, {us})")),
        Just("datetime.timezone(datetime.timedelta(hours=1), 'name')".to_owned()),
    ]
}

fn hashable() -> impl Strategy<Value = String> + Clone {
    leaf().prop_recursive(2, 8, 3, |inner| {
        let items = prop::collection::vec(inner, 0..3).prop_map(|items| items.join(", "));
        items.prop_flat_map(|items| {
            let frozen = format!("frozenset([{items}])");
            prop_oneof![Just(format!("tuple([{items}])")), Just(frozen)]
        })
    })
}

fn plain() -> impl Strategy<Value = String> {
    prop_oneof![leaf(), hashable()].prop_recursive(3, 24, 4, |inner| {
        let items = prop::collection::vec(inner.clone(), 0..4).prop_map(|items| items.join(", "));
        let pairs = prop::collection::vec((hashable(), inner), 0..4).prop_map(|pairs| {
            let pairs: Vec<String> = pairs
                .into_iter()
                .map(|(k, v)| format!("({k}, {v})"))
                .collect();
            pairs.join(", ")
        });
        prop_oneof![
            items.clone().prop_map(|items| format!("[{items}]")),
            items.clone().prop_map(|items| format!("tuple([{items}])")),
            items.prop_map(|items| format!("collections.deque([{items}], 9)")),
            prop::collection::vec(hashable(), 0..4)
                .prop_map(|items| format!("set([{}])", items.join(", "))),
            prop::collection::vec(any::<u8>(), 0..6)
                .prop_map(|bytes| format!("bytearray({bytes:?})")),
            pairs.clone().prop_map(|pairs| format!("dict([{pairs}])")),
            pairs
                .clone()
                .prop_map(|pairs| format!("collections.OrderedDict([{pairs}])")),
            pairs
                .clone()
                .prop_map(|pairs| format!("collections.Counter(dict([{pairs}]))")),
            pairs.prop_map(|pairs| format!("collections.defaultdict(list, [{pairs}])")),
        ]
    })
}

/// What `==` does not see: types, the sign of zero, NaN, the order of a dictionary.
const SAME: &str = "import collections, datetime, decimal, fractions\ndef same(a, b):\n    if type(a) is not type(b): return False\n    \
                    if isinstance(a, (list, tuple, collections.deque)):\n        \
                    return len(a) == len(b) and all(map(same, a, b))\n    \
                    if isinstance(a, dict):\n        return same(list(a.items()), list(b.items())) and \
                    getattr(a, 'default_factory', 0) is getattr(b, 'default_factory', 0)\n    \
                    if isinstance(a, (set, frozenset)):\n        return len(a) == len(b) and all(any(same(x, y) for y in b) for x in a)\n    \
                    if type(a) is int: return a == b\n    \
                    return repr(a) == repr(b) and getattr(a, 'fold', 0) == getattr(b, 'fold', 0)\n";

#[test]
fn every_plain_value_arrives_as_it_was_sent_in_both_directions() {
    // The copy has no part of the argument, so that the result is written out and not a reference to that.
    let solution = "import copy\ndef f(value, kept):\n    return copy.deepcopy(value)";
    let pair = RefCell::new(Pair::start());
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let values = prop::collection::vec(plain(), 1..30);
    let outcome = runner.run(&values, |values| {
        let code = format!(
            "{SAME}for n, value in enumerate([{}]):\n    \
             assert same(value, f(value, kept=value)), n",
            values.join(", ")
        );
        prop_assert_eq!(pair.borrow_mut().judge(solution, &code), Verdict::Correct);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
