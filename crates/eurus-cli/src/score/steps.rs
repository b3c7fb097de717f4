//! Where the steps of an answer begin.

use eurus::forest::ChatTokenizer;

/// The tokens of each step of an answer: from one "Step k:" to the next. What comes before the first mark belongs to the first
/// step, and an answer without marks is one step.
pub fn ranges(tokenizer: &ChatTokenizer, tokens: &[u32]) -> Vec<std::ops::Range<usize>> {
    let length = |count: usize| {
        tokenizer
            .decode(&tokens[..count])
            .map_or(0, |text| text.len())
    };
    let text = tokenizer.decode(tokens).unwrap_or_default();
    let mut starts = vec![0];
    for mark in marks(&text).into_iter().skip(1) {
        // Lengths grow with the count, so the first token that ends behind the mark's start is found by halving.
        let (mut low, mut high) = (0, tokens.len());
        while low < high {
            let middle = (low + high) / 2;
            match length(middle + 1) > mark {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        if starts.last().is_some_and(|&last| last < low) {
            starts.push(low);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([tokens.len()]);
    starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect()
}

/// Where "Step k:" stands at the start of a line.
fn marks(text: &str) -> Vec<usize> {
    let mut at = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches([' ', '*', '#']);
        let number = trimmed.strip_prefix("Step ").unwrap_or_default();
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 && number[digits..].starts_with(':') {
            found.push(at);
        }
        at += line.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_begin_at_marks_at_the_start_of_lines() {
        let text = "So.\nStep 1: a Step 9: no\n**Step 2: b\nStep x: no\nStep 3 no\n# Step 4: c";
        let starts: Vec<&str> = marks(text)
            .into_iter()
            .map(|at| &text[at..at + 8])
            .collect();
        assert_eq!(starts, ["Step 1: ", "**Step 2", "# Step 4"]);
        assert!(marks("no marks").is_empty());
    }
}
