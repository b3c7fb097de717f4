//! Characters that stand for something that ASCII spells.

/// Emoji, arrows of dingbats and the selectors after them.
pub(super) fn is_picture(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{1f000}'..='\u{1faff}' | '\u{fe0f}' | '\u{200d}')
}

/// Characters that stand for something that ASCII spells.
pub(super) fn spelled_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '−' | '–' | '—' => out.push('-'),
            '×' | '·' | '⋅' | '∙' => out.push('*'),
            '÷' => out.push('/'),
            '≤' | '⩽' => out.push_str("<="),
            '≥' | '⩾' => out.push_str(">="),
            '≠' => out.push_str("!="),
            '≈' | '≃' | '∼' => out.push('~'),
            '√' => out.push_str("\\sqrt "),
            'π' => out.push_str("\\pi "),
            '∞' => out.push_str("inf"),
            '²' => out.push_str("^2"),
            '³' => out.push_str("^3"),
            '：' => out.push(':'),
            '，' => out.push(','),
            '’' | '‘' => out.push('\''),
            '\u{a0}' | '\u{2009}' | '\u{202f}' => out.push(' '),
            c => match VULGAR.iter().find(|(sign, _)| *sign == c) {
                Some((_, fraction)) => {
                    out.push(' ');
                    out.push_str(fraction);
                }
                None => out.push(c),
            },
        }
    }
    out
}

const VULGAR: [(char, &str); 17] = [
    ('½', "1/2"),
    ('⅓', "1/3"),
    ('⅔', "2/3"),
    ('¼', "1/4"),
    ('¾', "3/4"),
    ('⅕', "1/5"),
    ('⅖', "2/5"),
    ('⅗', "3/5"),
    ('⅘', "4/5"),
    ('⅙', "1/6"),
    ('⅚', "5/6"),
    ('⅛', "1/8"),
    ('⅜', "3/8"),
    ('⅝', "5/8"),
    ('⅞', "7/8"),
    ('⅑', "1/9"),
    ('⅒', "1/10"),
];
