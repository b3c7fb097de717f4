//! Units behind a number.

/// A unit that can be compared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub measures: &'static str,
    /// How many of the smallest unit of its kind it is.
    pub size: u64,
    /// Behind a slash or with a power, so that its size says nothing.
    pub composed: bool,
}

/// Signs that are units.
const SIGNS: [&str; 7] = ["%", "°", "$", "€", "£", "¥", "¢"];

/// The factor of what stands behind a number and the units in it that are known; nothing if that is no unit.
pub(crate) fn units(rest: &str) -> Option<(u64, Vec<Unit>)> {
    let spaced = rest.starts_with(char::is_whitespace);
    let letters_first = rest.starts_with(char::is_alphabetic);
    let mut rest = rest.replace(['{', '}', '\'', '"'], " ");
    for sign in SIGNS {
        rest = rest.replace(sign, &format!(" {sign} "));
    }
    let mut scale = 1u64;
    let mut found = Vec::new();
    let mut place = 0;
    for (index, part) in rest.split('/').enumerate() {
        let mut behind_slash = index > 0;
        let words = part.split([' ', '\t', '\n', '-', '*']);
        for word in words.filter(|word| !word.is_empty()) {
            let word = word.trim_end_matches(['.', ',']);
            let name = without_exponent(word);
            let letters = name.to_lowercase();
            if SIGNS.contains(&letters.as_str()) {
                found.extend(known(&letters, behind_slash));
                place += 1;
                continue;
            }
            // Nothing is left of a bare "^2": it belongs to the unit before it, never to the number.
            let is_word =
                letters.chars().all(char::is_alphabetic) && (place > 0 || !letters.is_empty());
            if !is_word || NOT_UNITS.contains(&letters.as_str()) {
                return None;
            }
            let attached = place == 0 && !spaced && letters_first;
            let single = letters.chars().count() == 1;
            let article = place > 0 && letters == "a";
            if (attached && !ATTACHED.contains(&letters.as_str()))
                || (single && !article && !LETTERS.contains(&letters.as_str()))
            {
                return None;
            }
            scale = scale.saturating_mul(scale_of(&letters));
            behind_slash |= letters == "per";
            // A letter that is no unit of its own place is a word of a sentence.
            if !article && (found.is_empty() || behind_slash) {
                found.extend(known(&letters, behind_slash || name.len() < word.len()));
            }
            place += 1;
        }
    }
    // What is counted per something is not compared: the words differ too much.
    let is_currency = |unit: &Unit| ["money", "euros", "sterling", "yen"].contains(&unit.measures);
    if found.iter().any(is_currency) {
        found.truncate(1);
    }
    Some((scale, found))
}

fn scale_of(word: &str) -> u64 {
    match word {
        "dozen" => 12,
        "hundred" => 100,
        "thousand" => 1_000,
        "million" => 1_000_000,
        "billion" => 1_000_000_000,
        "trillion" => 1_000_000_000_000,
        _ => 1,
    }
}

/// "cm^2", "cm^(2)" and "cm2" without what makes them square or cubic.
fn without_exponent(word: &str) -> &str {
    let word = word.strip_suffix("^(2)").unwrap_or(word);
    match word.strip_suffix(['2', '3']) {
        None | Some("") => word,
        Some(unit) => unit.strip_suffix('^').unwrap_or(unit),
    }
}

/// Names, what they measure, and how many of the smallest of its kind one is.
const UNITS: &[(&[&str], &str, u64)] = &[
    (&["%", "percent", "percentage"], "percent", 1),
    (&["°", "degree", "degrees", "deg"], "angle", 1),
    (&["$", "dollar", "dollars", "usd", "bucks"], "money", 100),
    (&["cent", "cents", "¢"], "money", 1),
    (&["€", "euro", "euros", "eur"], "euros", 1),
    (&["£"], "sterling", 1),
    (&["¥", "yen", "yuan"], "yen", 1),
    // In tenths of a millimeter.
    (
        &[
            "mm",
            "millimeter",
            "millimeters",
            "millimetre",
            "millimetres",
        ],
        "length",
        10,
    ),
    (
        &[
            "cm",
            "centimeter",
            "centimeters",
            "centimetre",
            "centimetres",
        ],
        "length",
        100,
    ),
    (&["dm", "decimeter", "decimeters"], "length", 1_000),
    (
        &["m", "meter", "meters", "metre", "metres"],
        "length",
        10_000,
    ),
    (
        &["km", "kilometer", "kilometers", "kilometre", "kilometres"],
        "length",
        10_000_000,
    ),
    (&["in", "inch", "inches"], "length", 254),
    (&["ft", "foot", "feet"], "length", 3_048),
    (&["yd", "yard", "yards"], "length", 9_144),
    (&["mi", "mile", "miles"], "length", 16_093_440),
    (&["mg", "milligram", "milligrams"], "mass", 1),
    (&["g", "gram", "grams"], "mass", 1_000),
    (
        &["kg", "kilogram", "kilograms", "kilo", "kilos"],
        "mass",
        1_000_000,
    ),
    (&["t", "tonne", "tonnes"], "mass", 1_000_000_000),
    (&["oz", "ounce", "ounces"], "ounces", 1),
    (&["lb", "lbs", "pound", "pounds"], "ounces", 16),
    (&["ms", "millisecond", "milliseconds"], "time", 1),
    (&["s", "sec", "secs", "second", "seconds"], "time", 1_000),
    (&["min", "mins", "minute", "minutes"], "time", 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], "time", 3_600_000),
    (&["day", "days"], "time", 86_400_000),
    (&["week", "weeks"], "time", 604_800_000),
    (&["month", "months"], "months", 1),
    (&["year", "years"], "months", 12),
    (
        &[
            "ml",
            "milliliter",
            "milliliters",
            "millilitre",
            "millilitres",
        ],
        "volume",
        1,
    ),
    (
        &["l", "liter", "liters", "litre", "litres"],
        "volume",
        1_000,
    ),
    (&["mph"], "mph", 1),
    (&["kph", "kmh"], "kph", 1),
];

pub(crate) fn known(name: &str, composed: bool) -> Option<Unit> {
    let row = UNITS.iter().find(|(names, ..)| names.contains(&name))?;
    Some(Unit {
        measures: row.1,
        size: row.2,
        composed,
    })
}

/// Units that may be written right behind the digits; single letters are variables there.
const ATTACHED: &[&str] = &[
    "mm", "cm", "dm", "km", "mi", "ft", "in", "yd", "mg", "kg", "lb", "lbs", "oz", "ml", "sec",
    "min", "mins", "hr", "hrs", "mph", "kph", "kmh", "usd", "th", "st", "nd", "rd",
];

/// Letters that are units behind a space.
const LETTERS: &[&str] = &[
    "m", "g", "t", "l", "s", "h", "c", "f", "k", "n", "j", "w", "v", "a",
];

/// Words and letters that change what a number means when they stand behind it.
const NOT_UNITS: &[&str] = &[
    "pi",
    "e",
    "i",
    "sqrt",
    "or",
    "and",
    "to",
    "inf",
    "infinity",
    "am",
    "pm",
    "a.m",
    "p.m",
    "half",
    "halves",
    "third",
    "thirds",
    "quarter",
    "quarters",
    "fourths",
    "fifths",
    "squared",
    "cubed",
    "factorial",
    "mod",
    "times",
    "plus",
    "minus",
];
