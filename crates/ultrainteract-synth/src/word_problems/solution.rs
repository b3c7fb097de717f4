//! A solution as data: computed once, rendered as reasoning or as a program.

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

/// A number of the problem, or the result of an earlier step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand {
    Given(i64),
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

/// One to three steps, the last of which gives the answer.
#[derive(Debug)]
pub(super) struct Solution {
    plan: String,
    steps: Vec<Step>,
}

/// The names of results in a program.
const VARIABLES: [&str; 3] = ["x", "y", "z"];

impl Solution {
    /// A solution without steps; the plan is a sentence without its full stop.
    pub fn new(plan: impl Into<String>) -> Self {
        Self {
            plan: plan.into(),
            steps: Vec::new(),
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
        debug_assert!(op != Op::Divide || value * b == a, "{a} / {b} is not exact");
        debug_assert!(value > 0, "{a} {op:?} {b} is not positive");
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

    fn value(&self, operand: Operand) -> i64 {
        match operand {
            Operand::Given(number) => number,
            Operand::Result(step) => self.steps[step].value,
        }
    }

    /// The answer.
    pub fn answer(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.value)
    }

    /// Numbered sentences and a boxed answer.
    pub fn chain_of_thought(&self) -> String {
        let mut text = String::new();
        for (index, step) in self.steps.iter().enumerate() {
            text += &format!(
                "Step {}: {} {} {} {} = {} {}.\n",
                index + 1,
                step.subject,
                self.value(step.left),
                step.op.on_paper(),
                self.value(step.right),
                step.value,
                step.unit
            );
        }
        text + &format!("Answer:\n\\boxed{{{}}}", self.answer())
    }

    /// A plan, and a program that prints the answer.
    pub fn program(&self) -> String {
        let mut text = format!("Step 1: {}.\n```python\n", self.plan);
        for (index, step) in self.steps.iter().enumerate() {
            let expression = format!(
                "{} {} {}",
                in_program(step.left),
                step.op.in_python(),
                in_program(step.right)
            );
            text += &format!("# Step {}: {} {}\n", index + 2, step.op.verb(), step.unit);
            text += &if index + 1 == self.steps.len() {
                format!("print({expression})\n")
            } else {
                format!("{} = {expression}\n", VARIABLES[index])
            };
        }
        text + "```"
    }
}

fn in_program(operand: Operand) -> String {
    match operand {
        Operand::Given(number) => number.to_string(),
        Operand::Result(step) => VARIABLES[step].to_owned(),
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
        assert_eq!(solution.answer(), 32);
        assert_eq!(
            solution.chain_of_thought(),
            "Step 1: Tom has 12 * 3 = 36 pens.\nStep 2: Tom keeps 36 - 4 = 32 pens.\nAnswer:\n\\boxed{32}"
        );
        assert_eq!(
            solution.program(),
            "Step 1: Multiply, then subtract.\n```python\n# Step 2: multiply pens\nx = 12 * 3\n\
             # Step 3: subtract pens\nprint(x - 4)\n```"
        );
    }
}
