//! Templates of calendar and time, and of order and position, which are not among the usual ones.

use rand::Rng;

use super::draw::Draw;
use super::solution::{Op, Operand, Solution};
use super::templates::{Draft, Template};

/// The templates by their names.
pub(super) fn round<R: Rng>() -> [(&'static str, Template<R>); 6] {
    [
        ("clock", clock),
        ("row", row),
        ("last day", last_day),
        ("between", between),
        ("month", month),
        ("race", race),
    ]
}

fn clock<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let verb = draw.pick(&["read", "walk", "work", "sing", "draw", "swim"]);
    let (start, hours) = (draw.between(1, 8), draw.between(2, 4));
    let minutes = draw.between(1, 11) * 5;
    let end = start + hours;
    let text = format!(
        "{name} {verb}s from {start} to {end} o'clock, less a rest of {minutes} minutes. How many minutes does {name} {verb}?"
    );
    let mut solution =
        Solution::new("Find the hours, change them to minutes and subtract the rest");
    let all = solution.step(end, Op::Subtract, start, "The time is", "hours");
    let changed = solution.step(
        all,
        Op::Multiply,
        Operand::Known(60),
        "The hours are",
        "minutes",
    );
    solution.step(
        changed,
        Op::Subtract,
        minutes,
        format!("{name} {verb}s"),
        "minutes",
    );
    Draft { text, solution }
}

/// The first day counts.
fn last_day<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], month) = (draw.people(), draw.pick(&MONTHS));
    let (first, days) = (draw.between(2, 14), draw.between(3, 14));
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "{name} travels for {days} days from {month} {first} on. On what day of {month} does {name} come home?"
        ),
        _ => format!(
            "A trip of {days} days begins for {name} on {month} {first}. What is its last day in {month}?"
        ),
    };
    let mut solution = Solution::new("Add the days, and take one off, for the first counts");
    let of_month = format!("of {month}");
    let after = solution.step(first, Op::Add, days, "The day after is", &of_month);
    solution.step(
        after,
        Op::Subtract,
        Operand::Known(1),
        "The last day is",
        &of_month,
    );
    Draft { text, solution }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Months are counted and have names.
fn month<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let verb = draw.pick(&["come", "leave", "eat", "call"]);
    let (now, wait) = (draw.between(1, 12), draw.between(1, 3));
    let of = |number: i64| MONTHS[((number - 1) % 12) as usize];
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "It is {}. {name} {verb}s in {wait} months. In what month?",
            of(now)
        ),
        _ => format!(
            "{name} {verb}s {wait} months after {}. In what month?",
            of(now)
        ),
    };
    let mut solution = Solution::new("Add the months");
    solution.step(Operand::Known(now), Op::Add, wait, "It is month", "months");
    let passed: Vec<&str> = (0..=wait).map(|months| of(now + months)).collect();
    solution.conclude(
        format!("The months are {}", passed.join(", ")),
        of(now + wait),
    );
    Draft { text, solution }
}

fn row<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let who = draw.pick(&["children", "people", "friends", "players"]);
    let (place, behind) = (draw.number(), draw.number());
    let all = place + behind;
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "Of {all} {who} in a row {name} is number {place} from the front. How many are behind {name}?"
        ),
        _ => format!(
            "{name} is number {place} in a row of {all} {who}. How many stand behind {name}?"
        ),
    };
    let mut solution = Solution::new(format!("Subtract the {who} up to {name}"));
    solution.step(all, Op::Subtract, place, format!("Behind {name} are"), who);
    Draft { text, solution }
}

/// Neither end counts.
fn between<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let (place, apart) = (draw.number(), draw.between(3, 12));
    let further = place + apart;
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "In a row {name} is number {further} and {other} is number {place}. How many stand between {name} and {other}?"
        ),
        _ => format!(
            "{name} has seat {further} and {other} has seat {place}. How many seats are between {name} and {other}?"
        ),
    };
    let mut solution =
        Solution::new("Subtract the places, and one more, for the end does not count");
    let steps = solution.step(further, Op::Subtract, place, "The distance is", "places");
    solution.step(
        steps,
        Op::Subtract,
        Operand::Known(1),
        "There are",
        "between",
    );
    Draft { text, solution }
}

fn race<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let (a, apart) = (draw.number(), draw.between(1, 8));
    let b = match draw.pick(&[true, false]) {
        true => a + apart,
        // In the other order, and never before the first place.
        false if a > apart => a - apart,
        false => a + apart,
    };
    let what = draw.pick(&["a race", "a game", "a swim", "a row"]);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("In {what} {name} is number {a} and {other} is number {b}. Who is in front?"),
        _ => format!("{name} is number {a} of {what} and {other} is number {b}. Who is in front?"),
    };
    let mut solution = Solution::new("Compare the places");
    solution.step(a, Op::Subtract, b, format!("{name} is"), "places");
    let (order, first) = if a < b {
        ("fewer", name)
    } else {
        ("more", other)
    };
    solution.conclude(format!("{a} is {order} than {b}"), first);
    Draft { text, solution }
}
