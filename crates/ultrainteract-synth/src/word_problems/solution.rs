//! A solution as data: computed once, written down as reasoning or as a program.

/// An arithmetic operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Op {
    fn verb(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
        }
    }

    fn on_paper(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
        }
    }

    fn in_python(self) -> &'static str {
        match self {
            // `/` would print 6.0 for 42 / 7.
            Self::Divide => "//",
            other => other.on_paper(),
        }
    }
}

/// A number of the problem, one that everybody knows (a dozen is 12), or the result of an earlier step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Given(i64),
    Known(i64),
    Result(usize),
}

impl From<i64> for Operand {
    fn from(number: i64) -> Self {
        Self::Given(number)
    }
}

#[derive(Debug)]
struct Step {
    left: Operand,
    op: Op,
    right: Operand,
    value: i64,
    subject: String,
    unit: String,
}

/// What follows from the last step where the question does not ask for its number.
#[derive(Debug)]
struct Conclusion {
    sentence: String,
    answer: String,
}

/// One to three steps. The last one gives the answer, unless there is a conclusion.
#[derive(Debug)]
pub(super) struct Solution {
    plan: String,
    steps: Vec<Step>,
    conclusion: Option<Conclusion>,
}

/// The names of the numbers of the problem in a program, and of results.
const GIVEN: [&str; 4] = ["a", "b", "c", "d"];
const RESULTS: [&str; 3] = ["x", "y", "z"];

impl Solution {
    /// A solution without steps; the plan is a sentence without its full stop.
    pub fn new(plan: impl Into<String>) -> Self {
        Self {
            plan: plan.into(),
            steps: Vec::new(),
            conclusion: None,
        }
    }

    /// Adds a step that reads "`subject` 6 * 7 = 42 `unit`." and returns its result.
    pub fn step(
        &mut self,
        left: impl Into<Operand>,
        op: Op,
        right: impl Into<Operand>,
        subject: impl Into<String>,
        unit: &str,
    ) -> Operand {
        let (left, right) = (left.into(), right.into());
        let (a, b) = (self.value(left), self.value(right));
        let value = match op {
            Op::Add => a + b,
            Op::Subtract => a - b,
            Op::Multiply => a * b,
            Op::Divide => a / b,
        };
        self.steps.push(Step {
            left,
            op,
            right,
            value,
            subject: subject.into(),
            unit: unit.to_owned(),
        });
        Operand::Result(self.steps.len() - 1)
    }

    /// Adds what follows where no number is asked for: a sentence without its full stop, and the answer. The sentences
    /// then say that alone, and the steps stand in the program.
    pub fn conclude(&mut self, sentence: impl Into<String>, answer: impl Into<String>) {
        self.conclusion = Some(Conclusion {
            sentence: sentence.into(),
            answer: answer.into(),
        });
    }

    /// True when the answer is the number that the steps end with.
    pub fn ends_with_its_number(&self) -> bool {
        self.conclusion.is_none()
    }

    fn value(&self, operand: Operand) -> i64 {
        match operand {
            Operand::Given(number) | Operand::Known(number) => number,
            Operand::Result(step) => self.steps[step].value,
        }
    }

    /// The answer.
    pub fn answer(&self) -> String {
        match &self.conclusion {
            Some(conclusion) => conclusion.answer.clone(),
            None => self.steps.last().map_or(0, |step| step.value).to_string(),
        }
    }

    /// Numbered sentences and a boxed answer.
    pub fn chain_of_thought(&self) -> String {
        let mut text = String::new();
        let spoken = self.steps.iter().filter(|_| self.conclusion.is_none());
        let sentences = spoken
            .map(|step| {
                format!(
                    "{} {} {} {} = {} {}",
                    step.subject,
                    self.value(step.left),
                    step.op.on_paper(),
                    self.value(step.right),
                    step.value,
                    step.unit
                )
            })
            .chain(self.conclusion.iter().map(|end| end.sentence.clone()));
        for (index, sentence) in sentences.enumerate() {
            text += &format!("Step {}: {sentence}.\n", index + 1);
        }
        text + &format!("Answer:\n\\boxed{{{}}}", self.answer())
    }

    /// A program that prints the number that the steps end with, its plan as the first comment, so that the first token
    /// tells programs and sentences apart. The numbers of the problem's text get names first, in the order in which they are
    /// said: so whoever writes a program copies numbers in one way, whatever the problem is about.
    pub fn program(&self, text: &str) -> String {
        let mut program = format!("```python\n# {}\n", self.plan);
        let mut given: Vec<Given> = GIVEN
            .into_iter()
            .zip(numbers(text))
            .map(|(name, number)| Given {
                name,
                number,
                used: false,
            })
            .collect();
        for Given { name, number, .. } in &given {
            program += &format!("{name} = {number}\n");
        }
        for (index, step) in self.steps.iter().enumerate() {
            let (left, right) = (
                called(step.left, &mut given),
                called(step.right, &mut given),
            );
            program += &format!("# Step {}: {} {}\n", index + 1, step.op.verb(), step.unit);
            program += &format!(
                "{} = {left} {} {right}\n",
                RESULTS[index],
                step.op.in_python()
            );
        }
        // Printed by name: so every number has a space before it, here as in the instruction.
        let last = RESULTS[self.steps.len().saturating_sub(1)];
        program + &format!("print({last})\n```")
    }
}

/// The numbers of a text, in order.
fn numbers(text: &str) -> Vec<i64> {
    let digits = text.split(|c: char| !c.is_ascii_digit());
    digits.filter_map(|digits| digits.parse().ok()).collect()
}

/// A number of the problem's text, what a program calls it, and whether a step has used it.
struct Given {
    name: &'static str,
    number: i64,
    used: bool,
}

/// What a program calls an operand. Of two equal numbers, the first step takes the first.
fn called(operand: Operand, given: &mut [Given]) -> String {
    match operand {
        Operand::Known(number) => number.to_string(),
        Operand::Result(step) => RESULTS[step].to_owned(),
        Operand::Given(number) => {
            let unused = given.iter().position(|it| it.number == number && !it.used);
            let place = unused.or_else(|| given.iter().position(|it| it.number == number));
            match place {
                Some(place) => {
                    given[place].used = true;
                    given[place].name.to_owned()
                }
                None => number.to_string(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_solution_reads_as_reasoning_and_as_a_program() {
        let mut solution = Solution::new("Multiply, then subtract");
        let all = solution.step(12, Op::Multiply, 3, "Tom has", "pens");
        solution.step(all, Op::Subtract, 4, "Tom keeps", "pens");
        assert_eq!(solution.answer(), "32");
        assert!(solution.ends_with_its_number());
        assert_eq!(
            solution.chain_of_thought(),
            "Step 1: Tom has 12 * 3 = 36 pens.\nStep 2: Tom keeps 36 - 4 = 32 pens.\nAnswer:\n\\boxed{32}"
        );
        assert_eq!(
            solution.program("Tom has 12 boxes of 3 pens and gives 4 to Ann."),
            "```python\n# Multiply, then subtract\na = 12\nb = 3\nc = 4\n# Step 1: multiply pens\nx = a * b\n\
             # Step 2: subtract pens\ny = x - c\nprint(y)\n```"
        );
    }

    #[test]
    fn a_program_prints_the_number_of_the_last_step_where_the_answer_is_another() {
        let mut solution = Solution::new("Compare the pens");
        solution.step(12, Op::Subtract, 30, "Tom has", "pens");
        solution.conclude("12 is less than 30", "Ann");
        assert_eq!(solution.answer(), "Ann");
        assert!(!solution.ends_with_its_number());
        assert_eq!(
            solution.chain_of_thought(),
            "Step 1: 12 is less than 30.\nAnswer:\n\\boxed{Ann}"
        );
        assert!(
            solution
                .program("Tom has 12 pens and Ann has 30.")
                .ends_with("\nx = a - b\nprint(x)\n```")
        );
    }
}
