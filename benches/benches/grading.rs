//! Grading 5,000 pairs of an answer and a gold answer of mathematics, by both sets of rules.
//!
//! The pairs are made up: whole numbers, decimals, fractions, roots, multiples of pi, polynomials, intervals and lists, half of
//! them written in another way than the gold answer, a quarter wrong. Run with `cargo bench -p eurus-benches --bench grading`.

#![allow(missing_docs)] // criterion's macros make undocumented functions

use std::f64::consts::PI;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eurus_eval::graders::{Rules, math};

const PAIRS: usize = 5_000;

/// An answer of a model and the gold answer.
fn pair(number: usize) -> (String, String) {
    let (a, b) = (number % 97 + 2, number % 89 + 3);
    let (gold, other) = match number % 8 {
        0 => (format!("{}", a * b), format!("{}.0", a * b)),
        1 => (format!("{a}.25"), format!(r"\frac{{{}}}{{4}}", 4 * a + 1)),
        2 => (
            format!(r"\frac{{{a}}}{{{b}}}"),
            format!("{}/{}", 3 * a, 3 * b),
        ),
        3 => (
            format!(r"{a}\sqrt{{{b}}}"),
            format!(r"\sqrt{{{}}}", a * a * b),
        ),
        4 => (format!(r"{a}\pi"), format!("{:.6}", a as f64 * PI)),
        5 => (
            format!("x^2 + {}x + {}", a + b, a * b),
            format!("(x+{a})(x+{b})"),
        ),
        6 => (format!("({a}, {b}]"), format!(r"\left({a}, {b}\right]")),
        _ => (format!("{a}, {b}, {}", a + b), format!("{a},{b},{}", a + b)),
    };
    let given = match number / 8 % 4 {
        0 => gold.clone(),
        1 => format!("{b} + {gold}"),
        _ => other,
    };
    (
        format!(r"Step 1: We compute. So the answer is $\boxed{{{given}}}$."),
        gold,
    )
}

fn grading(criterion: &mut Criterion) {
    let pairs: Vec<(String, String)> = (0..PAIRS).map(pair).collect();
    let mut group = criterion.benchmark_group("grading");
    group.throughput(Throughput::Elements(PAIRS as u64));
    group.sample_size(10);
    for rules in Rules::ALL {
        group.bench_function(format!("5,000 pairs, {rules}"), |bencher| {
            bencher.iter(|| {
                let right = |(answer, gold): &&(String, String)| {
                    math::grade(answer, gold, rules).is_correct()
                };
                black_box(pairs.iter().filter(right).count())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, grading);
criterion_main!(benches);
