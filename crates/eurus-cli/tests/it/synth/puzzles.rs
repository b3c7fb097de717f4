//! Problems of every kind that can be solved from their text, and right and wrong actions for them.

use serde_json::{Value, json};

/// A problem: two small numbers and what is done with them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Puzzle {
    kind: Kind,
    a: i64,
    b: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Mathematics, with an answer.
    Sum,
    /// Two choices.
    Larger,
    /// A program that reads and writes.
    Program,
    /// A function, with asserts.
    Function,
}

const KINDS: [Kind; 6] = [
    Kind::Larger,
    Kind::Function,
    Kind::Sum,
    Kind::Larger,
    Kind::Function,
    Kind::Program,
];

/// Who is able to solve a problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Able {
    /// The cheap actor, always.
    Everybody,
    /// The cheap actor, now and then.
    Sometimes,
    /// The stronger actor, and the cheap one never.
    Stronger,
    /// The teacher with a solution before its eyes.
    Teacher,
    /// Nobody.
    Nobody,
}

/// So many problems of all kinds, as lines of a problem file.
pub fn rows(count: usize) -> Vec<Value> {
    (0..count)
        .map(|number| Puzzle::numbered(number).row(number))
        .collect()
}

impl Puzzle {
    fn numbered(number: usize) -> Self {
        let place = number as i64;
        let a = 2 + place * 5 % 13;
        let b = 2 + place / 6 % 11;
        Self {
            kind: KINDS[number % KINDS.len()],
            a,
            // Choices must differ.
            b: if a == b { b + 1 } else { b },
        }
    }

    /// The problem in a text, if there is one.
    pub fn in_text(text: &str) -> Option<Self> {
        let marks = [
            ("What is ", Kind::Sum),
            ("Which number is larger? (A) ", Kind::Larger),
            ("reads a whole number and prints it plus ", Kind::Program),
            ("Write a function `add_", Kind::Function),
        ];
        let (at, mark, kind) = marks
            .into_iter()
            .filter_map(|(mark, kind)| Some((text.find(mark)?, mark, kind)))
            .min_by_key(|(at, ..)| *at)?;
        let mut numbers = text[at + mark.len()..]
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok());
        let a = numbers.next()?;
        let b = match kind {
            Kind::Sum | Kind::Larger => numbers.next()?,
            Kind::Program | Kind::Function => 0,
        };
        Some(Self { kind, a, b })
    }

    pub fn instruction(self) -> String {
        let Self { a, b, .. } = self;
        match self.kind {
            Kind::Sum => format!("What is {a} + {b}?"),
            Kind::Larger => format!("Which number is larger? (A) {a} (B) {b}"),
            Kind::Program => {
                format!("Write a program that reads a whole number and prints it plus {a}.")
            }
            Kind::Function => format!("Write a function `add_{a}(x)` that returns x + {a}."),
        }
    }

    fn row(self, number: usize) -> Value {
        let Self { a, b, .. } = self;
        let task = match self.kind {
            Kind::Sum if number % 4 == 2 => "Math_PoT",
            Kind::Sum => "Math_CoT",
            Kind::Larger => "Logic",
            Kind::Program | Kind::Function => "Coding",
        };
        let mut row = json!({
            "id": format!("p{number}"), "task": task, "instruction": self.instruction(), "dataset": "puzzles",
        });
        let mut set = |key: &str, value: Value| row[key] = value;
        match self.kind {
            Kind::Sum => set("answer", json!((a + b).to_string())),
            Kind::Larger => {
                set("choices", json!([a.to_string(), b.to_string()]));
                set("answer", json!(self.letter(true)));
            }
            Kind::Program => {
                let test =
                    |n: i64| json!({"input": format!("{n}\n"), "output": (n + a).to_string()});
                set("tests", json!([test(1), test(-7), test(400)]));
            }
            Kind::Function => {
                let asserts = format!(
                    "assert add_{a}(1) == {}\nassert add_{a}(-9) == {}",
                    1 + a,
                    a - 9
                );
                set("asserts", json!(asserts));
                set("entry_point", json!(format!("add_{a}")));
            }
        }
        // Where nobody was taught, nothing stands in.
        if number % 7 != 6 {
            let solutions: Vec<String> = (0..1 + u64::from(number.is_multiple_of(3)))
                .map(|way| self.action(true, false, 100 + way))
                .collect();
            set("solutions", json!(solutions));
        }
        row
    }

    pub fn able(self) -> Able {
        match (self.a + 3 * self.b) % 7 {
            0 => Able::Everybody,
            1 => Able::Stronger,
            2 => Able::Teacher,
            3 => Able::Nobody,
            _ => Able::Sometimes,
        }
    }

    fn letter(self, is_right: bool) -> &'static str {
        if (self.a > self.b) == is_right {
            "A"
        } else {
            "B"
        }
    }

    /// An action, one of many with the same verdict.
    pub fn action(self, is_right: bool, as_program: bool, variation: u64) -> String {
        let Self { a, b, .. } = self;
        let off = if is_right {
            0
        } else {
            1 + (variation % 5) as i64
        };
        let step = format!("Step 1: Way {variation} to see it.");
        match self.kind {
            Kind::Sum if as_program => {
                format!("{step}\n```python\nx = {a}\nprint(x + {})\n```", b + off)
            }
            Kind::Sum => format!("{step}\nAnswer:\n\\boxed{{{}}}", a + b + off),
            Kind::Larger => format!("{step}\nAnswer:\n\\boxed{{{}}}", self.letter(is_right)),
            Kind::Program => {
                format!(
                    "{step}\n```python\nn = int(input())\nprint(n + {})\n```",
                    a + off
                )
            }
            Kind::Function => {
                format!(
                    "{step}\n```python\ndef add_{a}(x):\n    return x + {}\n```",
                    a + off
                )
            }
        }
    }
}

#[test]
fn a_problem_is_found_in_its_text_and_a_file_has_every_kind_and_every_difficulty() {
    let mut seen = Vec::new();
    for number in 0..24 {
        let puzzle = Puzzle::numbered(number);
        let found = Puzzle::in_text(&format!("Solve this.\n{} Now.", puzzle.instruction()));
        assert_eq!(found.map(Puzzle::instruction), Some(puzzle.instruction()));
        seen.push(found.map(Puzzle::able));
    }
    for able in [
        Able::Everybody,
        Able::Sometimes,
        Able::Stronger,
        Able::Teacher,
        Able::Nobody,
    ] {
        assert!(seen.contains(&Some(able)), "{able:?} of {seen:?}");
    }
}

/// Whether a text is a right action for the problem of an instruction.
pub fn is_right(instruction: &str, text: &str) -> bool {
    let variation = text
        .split("Way ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next()?.parse().ok());
    let (Some(puzzle), Some(variation)) = (Puzzle::in_text(instruction), variation) else {
        return false;
    };
    [true, false]
        .into_iter()
        .any(|as_program| puzzle.action(true, as_program, variation) == text)
}
