//! The templates.
//!
//! Every window of eight words of an instruction holds drawn names, objects or numbers; otherwise
//! two problems of one template would always share an 8-gram, and no held-out set could be disjoint
//! from a training set. Each template says its numbers in the order in which it uses them, as far
//! as the sentence allows.

use rand::Rng;

use super::draw::Draw;
use super::solution::{Op, Solution};

/// A problem without its head.
pub(super) struct Draft {
    pub text: String,
    pub solution: Solution,
}

/// Draws a problem of one template.
type Template<R> = fn(&mut Draw<'_, R>) -> Draft;

/// How many turns a round has.
pub(super) const ROUND: usize = 32;

/// The templates by their names, in the order of their turns. Those that ask for a word have two in a round, so that about half
/// of the problems do.
pub(super) fn round<R: Rng>() -> [(&'static str, Template<R>); ROUND] {
    [
        ("gain", gain),
        ("first or last", first_or_last),
        ("groups", groups),
        ("day of the week", day_of_the_week),
        ("percent of", percent_of),
        ("is older", is_older),
        ("more than", more_than),
        ("enough money", enough_money),
        ("loss", loss),
        ("has more", has_more),
        ("hours and minutes", hours_and_minutes),
        ("more or fewer", more_or_fewer),
        ("share", share),
        ("odd or even", odd_or_even),
        ("two makers", two_makers),
        ("percent off", percent_off),
        ("first or last", first_or_last),
        ("times as many", times_as_many),
        ("day of the week", day_of_the_week),
        ("change", change),
        ("is older", is_older),
        ("more than another", more_than_another),
        ("enough money", enough_money),
        ("every day", every_day),
        ("has more", has_more),
        ("difference", difference),
        ("more or fewer", more_or_fewer),
        ("wages", wages),
        ("odd or even", odd_or_even),
        ("dozens", dozens),
        ("rest in containers", rest_in_containers),
        ("add and take", add_and_take),
    ]
}

fn gain<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (a, b) = (draw.number(), draw.number());
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o} and buys {b} more. How many {o} now?"),
        _ => format!("{name} finds {a} {o}, then {b} more. How many {o} in all?"),
    };
    let mut solution = Solution::new(format!("Add the {o}"));
    solution.step(a, Op::Add, b, format!("{name} has"), o);
    Draft { text, solution }
}

fn loss<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (b, left) = (draw.number(), draw.number());
    let a = b + left;
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o} and loses {b}. How many {o} are left?"),
        _ => format!("From {a} {o} {name} sells {b}. How many {o} are left?"),
    };
    let mut solution = Solution::new(format!("Subtract the {o} that are gone"));
    solution.step(a, Op::Subtract, b, format!("{name} has"), o);
    Draft { text, solution }
}

fn difference<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (b, more) = (draw.number(), draw.number());
    let a = b + more;
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o} and {other} has {b}. How many more has {name}?"),
        _ => format!("With {a} {o}, how many more has {name} than {other} with {b}?"),
    };
    let mut solution = Solution::new(format!("Subtract the {o} of {other}"));
    solution.step(a, Op::Subtract, b, format!("{name} has"), "more");
    Draft { text, solution }
}

fn groups<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o, c) = (draw.people(), draw.object(), draw.container());
    let (a, b) = (draw.factor(), draw.factor());
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {c} with {b} {o} each. How many {o}?"),
        _ => format!("Each of {a} {c} holds {b} {o}. How many {o} for {name}?"),
    };
    let mut solution = Solution::new(format!("Multiply {c} by {o}"));
    solution.step(a, Op::Multiply, b, format!("The {c} hold"), o);
    Draft { text, solution }
}

fn share<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o, c) = (draw.people(), draw.object(), draw.container());
    let (b, each) = (draw.factor(), draw.factor());
    let a = b * each;
    let (text, group) = match draw.pick(&[0, 1]) {
        0 => (
            format!("{name} puts {a} {o} in {b} {c}. How many {o} in each?"),
            c,
        ),
        _ => (
            format!("{name} shares {a} {o} among {b} friends. How many {o} each?"),
            "friends",
        ),
    };
    let mut solution = Solution::new(format!("Divide {o} by {group}"));
    solution.step(a, Op::Divide, b, "Each gets", o);
    Draft { text, solution }
}

fn percent_of<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (percent, base) = draw.percentage();
    let verb = draw.pick(&["sells", "loses", "paints", "cleans"]);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} {verb} {percent} percent of {base} {o}. How many is that?"),
        _ => format!("{name} {verb} {percent} percent of {base} {o}. How many {o} is that?"),
    };
    let mut solution = Solution::new("Multiply by the percent, divide by 100");
    let product = solution.step(percent, Op::Multiply, base, "The product is", "parts");
    solution.step(product, Op::Divide, 100, format!("{name} {verb}"), o);
    Draft { text, solution }
}

fn percent_off<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (percent, base) = draw.percentage();
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "{name} wants {o} at {percent} percent off {base} dollars. What does {name} pay?"
        ),
        _ => {
            format!("With {percent} percent off {base} dollars, what does {name} pay for the {o}?")
        }
    };
    let mut solution = Solution::new("Find the discount and subtract it");
    let product = solution.step(percent, Op::Multiply, base, "The product is", "parts");
    let off = solution.step(product, Op::Divide, 100, "The discount is", "dollars");
    solution.step(base, Op::Subtract, off, format!("{name} pays"), "dollars");
    Draft { text, solution }
}

fn hours_and_minutes<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let (hours, minutes) = (draw.digit(), draw.between(5, 55));
    let verb = draw.pick(&["read", "walk", "work", "sing", "draw", "swim"]);
    let text = format!(
        "{name} {verb}s for {hours} hours and {minutes} minutes. How long does {name} {verb} in minutes?"
    );
    let mut solution = Solution::new("Change hours to minutes and add");
    let changed = solution.step(hours, Op::Multiply, 60, "The hours are", "minutes");
    solution.step(
        changed,
        Op::Add,
        minutes,
        format!("{name} {verb}s"),
        "minutes",
    );
    Draft { text, solution }
}

fn every_day<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (daily, weeks) = (draw.digit(), draw.factor());
    let text = match draw.pick(&[0, 1]) {
        0 => {
            format!("In {weeks} weeks {name} sells {daily} {o} each day. How many {o} for {name}?")
        }
        _ => format!("For {weeks} weeks {name} makes {daily} {o} a day. How many {o} for {name}?"),
    };
    let mut solution = Solution::new("Change weeks to days and multiply");
    let days = solution.step(weeks, Op::Multiply, 7, "The weeks are", "days");
    solution.step(days, Op::Multiply, daily, "In all", o);
    Draft { text, solution }
}

fn dozens<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let dozens = draw.digit();
    // Something must be left: the value of every step is positive.
    let given = draw.number().min(12 * dozens - 2);
    let text =
        format!("{name} buys {dozens} dozen {o} and gives {other} {given}. How many {o} are left?");
    let mut solution = Solution::new(format!("Multiply by 12 and subtract the {o} that are gone"));
    let bought = solution.step(dozens, Op::Multiply, 12, format!("{name} buys"), o);
    solution.step(bought, Op::Subtract, given, format!("{name} has"), o);
    Draft { text, solution }
}

fn more_than<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (a, more) = (draw.number(), draw.number());
    let phrasing = draw.pick(&[0, 1]);
    let text = match phrasing {
        0 => format!("{other} has {more} more {o} than {name}, who has {a}. How many in all?"),
        _ => {
            format!("{name} has {a} {o} and {other} has {more} more than {name}. How many in all?")
        }
    };
    let (first, second) = if phrasing == 0 { (more, a) } else { (a, more) };
    let mut solution = Solution::new(format!("Find the {o} of {other} and add both"));
    let others = solution.step(first, Op::Add, second, format!("{other} has"), o);
    solution.step(others, Op::Add, a, "Both have", o);
    Draft { text, solution }
}

fn times_as_many<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (a, times) = (draw.factor(), draw.digit());
    let phrasing = draw.pick(&[0, 1]);
    let text = match phrasing {
        0 => format!(
            "{other} has {times} times as many {o} as {name}, who has {a}. How many in all?"
        ),
        _ => format!(
            "{name} has {a} {o}. {other} has {times} times as many as {name}. How many {o} in all?"
        ),
    };
    let (first, second) = if phrasing == 0 {
        (times, a)
    } else {
        (a, times)
    };
    let mut solution = Solution::new(format!("Find the {o} of {other} and add both"));
    let others = solution.step(first, Op::Multiply, second, format!("{other} has"), o);
    solution.step(others, Op::Add, a, "Both have", o);
    Draft { text, solution }
}

fn two_makers<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (a, b, hours) = (draw.between(2, 20), draw.between(2, 20), draw.factor());
    let text = format!(
        "{name} makes {a} {o} an hour and {other} makes {b}. How many {o} do both make in {hours} hours?"
    );
    let mut solution = Solution::new("Add both and multiply by hours");
    let hourly = solution.step(a, Op::Add, b, "In an hour both make", o);
    solution.step(hourly, Op::Multiply, hours, "Both make", o);
    Draft { text, solution }
}

fn change<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (count, price) = (draw.factor(), draw.factor());
    let paid = count * price + draw.number();
    let text = format!(
        "{name} pays {paid} dollars for {count} {o} at {price} dollars each. How much change?"
    );
    let mut solution = Solution::new("Find the cost and subtract it");
    let cost = solution.step(
        count,
        Op::Multiply,
        price,
        format!("The {o} cost"),
        "dollars",
    );
    solution.step(paid, Op::Subtract, cost, "The change is", "dollars");
    Draft { text, solution }
}

fn wages<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let (wage, hours) = (draw.factor(), draw.factor());
    let spent = draw.number().min(wage * hours - 1);
    let text = format!(
        "{name} earns {wage} dollars an hour. After {hours} hours {name} spends {spent}. How much is left?"
    );
    let mut solution = Solution::new("Find the wages and subtract what is spent");
    let wages = solution.step(
        wage,
        Op::Multiply,
        hours,
        format!("{name} earns"),
        "dollars",
    );
    solution.step(wages, Op::Subtract, spent, format!("{name} has"), "dollars");
    Draft { text, solution }
}

fn rest_in_containers<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o, c) = (draw.people(), draw.object(), draw.container());
    let (count, each, kept) = (draw.factor(), draw.factor(), draw.factor());
    let all = count * each + kept;
    let text = format!(
        "From {all} {o} {name} keeps {kept}. The rest go to {other} in {count} {c}. How many {o} in each?"
    );
    let mut solution = Solution::new(format!("Subtract, then divide by {c}"));
    let rest = solution.step(all, Op::Subtract, kept, format!("{other} gets"), o);
    solution.step(rest, Op::Divide, count, "Each gets", o);
    Draft { text, solution }
}

fn add_and_take<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, second, third], o, c) = (draw.people(), draw.object(), draw.container());
    let (count, each) = (draw.digit(), draw.digit());
    let (added, taken) = (draw.between(2, 20), draw.between(2, 20));
    let taken = taken.min(count * each + added - 1);
    let text = format!(
        "{name} has {count} {c} of {each} {o}. {second} adds {added} {o} and {third} takes {taken}. How many {o}?"
    );
    let mut solution = Solution::new("Multiply, add, then subtract");
    let held = solution.step(count, Op::Multiply, each, format!("The {c} hold"), o);
    let more = solution.step(held, Op::Add, added, format!("With {second}"), o);
    solution.step(more, Op::Subtract, taken, format!("{name} has"), o);
    Draft { text, solution }
}

/// The wording suggests a sum.
fn more_than_another<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (more, rest) = (draw.number(), draw.number());
    let a = more + rest;
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o}, {more} more than {other}. How many {o} has {other}?"),
        _ => format!("With {a} {o} {name} has {more} more than {other}. How many has {other}?"),
    };
    let mut solution = Solution::new(format!("Find the {o} of {other}"));
    solution.step(a, Op::Subtract, more, format!("{other} has"), o);
    Draft { text, solution }
}

fn first_or_last<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let verb = draw.pick(&["come", "leave", "eat", "call"]);
    let a = draw.number();
    let b = draw.another_number(a);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} {verb}s on day {a} and {other} on day {b}. Is {name} first or last?"),
        _ => format!("On day {a} {name} {verb}s, and on day {b} {other}. Is {name} first or last?"),
    };
    let mut solution = Solution::new("Compare the days");
    solution.step(a, Op::Subtract, b, "", "days");
    let answer = if a > b { "last" } else { "first" };
    solution.conclude(compared(a, b), answer);
    Draft { text, solution }
}

fn more_or_fewer<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let a = draw.number();
    let b = draw.another_number(a);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o} and {other} has {b}. Has {name} more or fewer?"),
        _ => format!("Are {a} {o} of {name} more or fewer than {b} of {other}?"),
    };
    let mut solution = Solution::new(format!("Compare the {o}"));
    solution.step(a, Op::Subtract, b, "", o);
    let answer = if a > b { "more" } else { "fewer" };
    solution.conclude(compared(a, b), answer);
    Draft { text, solution }
}

fn enough_money<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let price = draw.number();
    let has = draw.another_number(price);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {has} dollars. The {o} cost {price} dollars. Is that enough?"),
        _ => format!("With {has} dollars, can {name} buy {o} for {price}?"),
    };
    let mut solution = Solution::new("Compare the dollars");
    solution.step(has, Op::Subtract, price, "", "dollars");
    let answer = if has > price { "yes" } else { "no" };
    solution.conclude(compared(has, price), answer);
    Draft { text, solution }
}

fn compared(a: i64, b: i64) -> String {
    let order = if a > b { "more" } else { "fewer" };
    format!("{a} is {order} than {b}")
}

/// All is said but the number that nobody asks for.
fn has_more<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (a, difference) = (draw.number(), draw.number());
    let amounts = ["more", "fewer"];
    let (said, asked) = (draw.pick(&amounts), draw.pick(&amounts));
    let (a, op, has) = match said {
        "more" => (a + difference, Op::Subtract, "fewer"),
        _ => (a, Op::Add, "more"),
    };
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o}, {difference} {said} than {other}. Has {other} {asked}?"),
        _ => format!("{name} has {difference} {said} than {other}: {a} {o}. Has {other} {asked}?"),
    };
    let mut solution = Solution::new(format!("Find the {o} of {other}"));
    solution.step(a, op, difference, "", o);
    let answer = if asked == has { "yes" } else { "no" };
    solution.conclude(format!("One has {said} and the other has {has}"), answer);
    Draft { text, solution }
}

fn is_older<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let (age, years) = (draw.number(), draw.factor());
    let ages = ["older", "younger"];
    let (said, asked) = (draw.pick(&ages), draw.pick(&ages));
    let age = age + years;
    let text = format!("{name} is {age}, {years} years {said} than {other}. Is {other} {asked}?");
    let (op, is) = match said {
        "older" => (Op::Subtract, "younger"),
        _ => (Op::Add, "older"),
    };
    let mut solution = Solution::new(format!("Find the age of {other}"));
    solution.step(age, op, years, "", "years");
    let answer = if asked == is { "yes" } else { "no" };
    solution.conclude(format!("One is {said} and the other is {is}"), answer);
    Draft { text, solution }
}

fn odd_or_even<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let number = draw.between(2, 20);
    let text = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {number} {o}. Is that odd or even?"),
        _ => format!("Is {number}, the {o} of {name}, odd or even?"),
    };
    let mut solution = Solution::new(format!("Divide the {o} by 2"));
    solution.step(number, Op::Divide, 2, "", o);
    let answer = if number % 2 == 0 { "even" } else { "odd" };
    solution.conclude(format!("{number} is {answer}"), answer);
    Draft { text, solution }
}

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// Days are counted and have names.
fn day_of_the_week<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name] = draw.people();
    let verb = draw.pick(&["come", "leave", "eat", "call"]);
    let (today, wait) = (draw.between(0, 6), draw.between(1, 3));
    let day = |number: i64| DAYS[(number % 7) as usize];
    let text = match draw.pick(&[0, 1]) {
        0 => format!(
            "Today is {}. {name} {verb}s in {wait} days. On what day?",
            day(today)
        ),
        _ => format!(
            "{name} {verb}s {wait} days after {}. On what day?",
            day(today)
        ),
    };
    let mut solution = Solution::new("Add the days");
    solution.step(today, Op::Add, wait, "", "days");
    let passed: Vec<&str> = (0..=wait).map(|days| day(today + days)).collect();
    solution.conclude(
        format!("The days are {}", passed.join(", ")),
        day(today + wait),
    );
    Draft { text, solution }
}
