//! Fenced code.

use std::borrow::Cow;

const PYTHON: [&str; 4] = ["python", "python3", "py", "ipython"];

/// The contents of the fenced Python blocks, in order.
///
/// Follows Markdown: a block opens with a line of three or more backticks and the language, and
/// ends with a line of as many backticks or with the text. Two liberties that models take are
/// allowed: any indentation, and a closing fence at the end of the last code line. Blocks of
/// another language, or of none, are passed over.
///
/// ```
/// use ultrainteract::action_text::python_blocks;
/// let text = "First\n```python\nx = 1\n```\nthen\n```text\nx\n```\nand ```python``` in a line\n```py\nprint(x)```";
/// assert_eq!(python_blocks(text), ["x = 1\n", "print(x)"]);
/// ```
pub fn python_blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    // The open block: length of its fence, and where its code starts if it is Python.
    let mut open: Option<(usize, Option<usize>)> = None;
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        let line_end = line_start + line.len();
        let trimmed = line.trim();
        match open {
            None => {
                let fence = leading_backticks(trimmed);
                let language = trimmed[fence..].trim();
                // An info string with a backtick is inline code, as in Markdown.
                if fence >= 3 && !language.contains('`') {
                    let language = language.split_whitespace().next().unwrap_or("");
                    let python = PYTHON
                        .iter()
                        .any(|name| name.eq_ignore_ascii_case(language));
                    open = Some((fence, python.then_some(line_end)));
                }
            }
            Some((fence, code_start)) => {
                let closing = trailing_backticks(trimmed);
                if closing >= fence {
                    if let Some(start) = code_start {
                        let code_end = if closing == trimmed.len() {
                            line_start
                        } else {
                            line_start + line.trim_end().len() - closing
                        };
                        blocks.push(&text[start..code_end]);
                    }
                    open = None;
                }
            }
        }
        line_start = line_end;
    }
    if let Some((_, Some(start))) = open {
        blocks.push(&text[start..]);
    }
    blocks
}

/// The code without the indentation that all its lines share, so that a block inside an indented
/// list runs. Blank lines do not count.
///
/// ```
/// use ultrainteract::action_text::dedent;
/// assert_eq!(dedent("    if x:\n        y()\n\n    z()\n"), "if x:\n    y()\n\nz()\n");
/// assert_eq!(dedent("a\n  b\n"), "a\n  b\n");
/// ```
pub fn dedent(code: &str) -> Cow<'_, str> {
    let indented = |line: &&str| !line.trim().is_empty();
    let mut lines = code.lines().filter(indented);
    let Some(first) = lines.next() else {
        return Cow::Borrowed(code);
    };
    let blank_prefix = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let mut margin = &first[..blank_prefix(first)];
    for line in lines {
        // Tabs and spaces are compared as written, as Python does.
        let shared = margin
            .bytes()
            .zip(line.bytes())
            .take_while(|(ours, theirs)| ours == theirs)
            .count();
        margin = &margin[..shared];
    }
    if margin.is_empty() {
        return Cow::Borrowed(code);
    }
    code.split_inclusive('\n')
        .map(|line| match line.strip_prefix(margin) {
            Some(rest) => rest,
            None => line.trim_start_matches([' ', '\t']),
        })
        .collect::<String>()
        .into()
}

fn leading_backticks(text: &str) -> usize {
    text.len() - text.trim_start_matches('`').len()
}

fn trailing_backticks(text: &str) -> usize {
    text.len() - text.trim_end_matches('`').len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_indented_block_as_in_the_released_rows_is_found_and_dedented() {
        let text = "\n        Step 1: area.\n        ```python\n        # Step 2\n        def f(x):\n            return x\n        print(f(2))\n        ```";
        let blocks = python_blocks(text);
        assert_eq!(
            dedent(blocks[0]).trim_end(),
            "# Step 2\ndef f(x):\n    return x\nprint(f(2))"
        );
    }

    #[test]
    fn an_open_block_reaches_to_the_end() {
        assert_eq!(python_blocks("```python\nprint(1)"), ["print(1)"]);
    }

    #[test]
    fn a_fence_of_four_holds_a_fence_of_three() {
        assert_eq!(
            python_blocks("````python\ns = '''\n```\n'''\n````\n"),
            ["s = '''\n```\n'''\n"]
        );
    }

    #[test]
    fn a_block_of_another_language_does_not_open_a_python_block_at_its_end() {
        assert!(python_blocks("```\na\n```\nprose\n```bash\nls\n```\n").is_empty());
    }

    #[test]
    fn carriage_returns_do_not_hide_fences() {
        assert_eq!(python_blocks("```python\r\nx\r\n```\r\n"), ["x\r\n"]);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_without_panic_and_dedenting_settles(text in "[` a\t\npythoné]{0,60}") {
            for block in python_blocks(&text) {
                let once = dedent(block).into_owned();
                let twice = dedent(&once).into_owned();
                prop_assert_eq!(once, twice);
            }
        }
    }
}
