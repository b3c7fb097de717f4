//! The templates.
//!
//! Every window of eight words of an instruction holds drawn names, objects or numbers; otherwise
//! two problems of one template would always share an 8-gram, and no held-out set could be disjoint
//! from a training set. Each template says its numbers in the order in which it uses them, as far
//! as the sentence allows.

use rand::Rng;

use super::draw::Draw;
use super::solution::{Op, Operand, Solution};

/// A problem without its head.
pub(super) struct Draft {
    pub text: String,
    pub solution: Solution,
}

impl Draft {
    fn new(story: &str, question: &str, solution: Solution) -> Self {
        Self {
            text: format!("{story} {question}"),
            solution,
        }
    }
}

/// What is asked of a story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// The number that the steps end with.
    Number,
    /// A word, which no program prints.
    Word,
}

/// Draws a problem of one template.
pub(super) type Template<R> = fn(&mut Draw<'_, R>) -> Draft;

/// The templates by their names, in the order of their turns. Those that may ask for a word have several in a round.
pub(super) fn round<R: Rng>() -> [(&'static str, Template<R>); 36] {
    [
        ("gain", gain),
        ("two people", two_people),
        ("groups", groups),
        ("more than another", more_than_another),
        ("percent of", percent_of),
        ("money", money),
        ("more than", more_than),
        ("ages", ages),
        ("loss", loss),
        ("order", order),
        ("hours and minutes", hours_and_minutes),
        ("half", half),
        ("two people", two_people),
        ("share", share),
        ("more than another", more_than_another),
        ("day of the week", day_of_the_week),
        ("two makers", two_makers),
        ("money", money),
        ("percent off", percent_off),
        ("ages", ages),
        ("times as many", times_as_many),
        ("order", order),
        ("change", change),
        ("half", half),
        ("every day", every_day),
        ("two people", two_people),
        ("wages", wages),
        ("more than another", more_than_another),
        ("dozens", dozens),
        ("money", money),
        ("day of the week", day_of_the_week),
        ("ages", ages),
        ("rest in containers", rest_in_containers),
        ("order", order),
        ("add and take", add_and_take),
        ("half", half),
    ]
}

/// The turns of those that may ask for a number or a word.
pub(super) fn stories<R: Rng>() -> Vec<(&'static str, Template<R>)> {
    let names = [
        "two people",
        "more than another",
        "money",
        "ages",
        "order",
        "half",
    ];
    let all = round().into_iter();
    all.filter(|(name, _)| names.contains(name)).collect()
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
    solution.step(
        product,
        Op::Divide,
        Operand::Known(100),
        format!("{name} {verb}"),
        o,
    );
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
    let off = solution.step(
        product,
        Op::Divide,
        Operand::Known(100),
        "The discount is",
        "dollars",
    );
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
    let changed = solution.step(
        hours,
        Op::Multiply,
        Operand::Known(60),
        "The hours are",
        "minutes",
    );
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
    let days = solution.step(
        weeks,
        Op::Multiply,
        Operand::Known(7),
        "The weeks are",
        "days",
    );
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
    let bought = solution.step(
        dozens,
        Op::Multiply,
        Operand::Known(12),
        format!("{name} buys"),
        o,
    );
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

fn two_people<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (a, b, question) = draw.compared();
    let told = draw.pick(&[0, 1]);
    let story = match told {
        0 => format!("{name} has {a} {o} and {other} has {b}."),
        _ => format!("There are {a} {o} for {name} and {b} for {other}."),
    };
    let asked = match (question, told) {
        (Question::Number, 0) => format!("How many more has {name}?"),
        (Question::Number, _) => format!("How many more for {name}?"),
        (Question::Word, 0) => format!("Has {name} more or fewer?"),
        (Question::Word, _) => format!("More or fewer for {name}?"),
    };
    let mut solution = Solution::new(format!("Compare the {o}"));
    solution.step(a, Op::Subtract, b, format!("{name} has"), "more");
    if question == Question::Word {
        compare(&mut solution, a, b, ["more", "fewer"]);
    }
    Draft::new(&story, &asked, solution)
}

/// The wording suggests a sum, or the word that it says.
fn more_than_another<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name, other], o) = (draw.people(), draw.object());
    let (rest, difference) = (draw.number(), draw.number());
    let a = rest + difference;
    let (said, op, is) = draw.pick(&[("more", Op::Subtract, "fewer"), ("fewer", Op::Add, "more")]);
    let question = draw.question();
    let story = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {a} {o}, {difference} {said} than {other}."),
        _ => format!("With {a} {o} {name} has {difference} {said} than {other}."),
    };
    let asked = match question {
        Question::Number => format!("How many {o} has {other}?"),
        Question::Word => format!("Has {other} more?"),
    };
    let mut solution = Solution::new(format!("Find the {o} of {other}"));
    solution.step(a, op, difference, format!("{other} has"), o);
    if question == Question::Word {
        let answer = if is == "more" { "yes" } else { "no" };
        solution.conclude(format!("{other} has {is}"), answer);
    }
    Draft::new(&story, &asked, solution)
}

fn money<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let (has, price, question) = draw.compared();
    let story = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {has} dollars. The {o} cost {price} dollars."),
        _ => format!("With {has} dollars {name} wants {o} for {price} dollars."),
    };
    let asked = match question {
        Question::Number => "How much is left?",
        Question::Word => "Is that enough?",
    };
    let mut solution = Solution::new("Compare the dollars");
    solution.step(has, Op::Subtract, price, format!("{name} has"), "dollars");
    if question == Question::Word {
        compare(&mut solution, has, price, ["yes", "no"]);
    }
    Draft::new(&story, asked, solution)
}

fn ages<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let (rest, years) = (draw.number(), draw.factor());
    let age = rest + years;
    let (said, op, is) = draw.pick(&[
        ("older", Op::Subtract, "younger"),
        ("younger", Op::Add, "older"),
    ]);
    let question = draw.question();
    let story = match draw.pick(&[0, 1]) {
        0 => format!("{name} is {age}, {years} years {said} than {other}."),
        _ => format!("At {age} {name} is {years} years {said} than {other}."),
    };
    let asked = match question {
        Question::Number => format!("How old is {other}?"),
        Question::Word => format!("Is {other} older?"),
    };
    let mut solution = Solution::new(format!("Find the age of {other}"));
    solution.step(age, op, years, format!("{other} is"), "years");
    if question == Question::Word {
        let answer = if is == "older" { "yes" } else { "no" };
        solution.conclude(format!("{other} is {is}"), answer);
    }
    Draft::new(&story, &asked, solution)
}

fn order<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let [name, other] = draw.people();
    let verb = draw.pick(&["come", "leave", "eat", "call"]);
    let (a, b, question) = draw.compared();
    let story = match draw.pick(&[0, 1]) {
        0 => format!("{name} {verb}s on day {a} and {other} on day {b}."),
        _ => format!("On day {a} {name} {verb}s, and on day {b} {other}."),
    };
    let asked = match question {
        Question::Number => format!("How many days later is {name}?"),
        Question::Word => format!("Is {name} first or last?"),
    };
    let mut solution = Solution::new("Compare the days");
    solution.step(a, Op::Subtract, b, format!("{name} is"), "days");
    if question == Question::Word {
        compare(&mut solution, a, b, ["last", "first"]);
    }
    Draft::new(&story, &asked, solution)
}

/// Concludes from which of two numbers is larger; the answers are for a larger first one, and for a smaller.
fn compare(solution: &mut Solution, a: i64, b: i64, answers: [&str; 2]) {
    let [order, answer] = if a > b {
        ["more", answers[0]]
    } else {
        ["fewer", answers[1]]
    };
    solution.conclude(format!("{a} is {order} than {b}"), answer);
}

fn half<R: Rng>(draw: &mut Draw<'_, R>) -> Draft {
    let ([name], o) = (draw.people(), draw.object());
    let question = draw.question();
    let number = match question {
        Question::Number => 2 * draw.number(),
        Question::Word => draw.number(),
    };
    let story = match draw.pick(&[0, 1]) {
        0 => format!("{name} has {number} {o}."),
        _ => format!("There are {number} {o} for {name}."),
    };
    let asked = match question {
        Question::Number => "How many is half?",
        Question::Word => "Is that odd or even?",
    };
    let mut solution = Solution::new(format!("Divide the {o} by 2"));
    solution.step(number, Op::Divide, Operand::Known(2), "Half is", o);
    if question == Question::Word {
        let answer = if number % 2 == 0 { "even" } else { "odd" };
        solution.conclude(format!("{number} is {answer}"), answer);
    }
    Draft::new(&story, asked, solution)
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
    solution.step(Operand::Known(today), Op::Add, wait, "It is day", "days");
    let passed: Vec<&str> = (0..=wait).map(|days| day(today + days)).collect();
    solution.conclude(
        format!("The days are {}", passed.join(", ")),
        day(today + wait),
    );
    Draft { text, solution }
}
