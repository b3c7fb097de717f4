//! The words and numbers that templates draw from.

use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

use super::Options;
use super::templates::Question;

const NAMES: [&str; 12] = [
    "Tom", "Ann", "Sam", "Eva", "Ben", "Mia", "Leo", "Zoe", "Max", "Amy", "Kim", "Joe",
];

const OBJECTS: [&str; 12] = [
    "apples", "pens", "hats", "toys", "books", "cards", "cups", "eggs", "keys", "nuts", "rings",
    "shells",
];

const CONTAINERS: [&str; 8] = [
    "bags", "boxes", "jars", "bins", "tins", "sacks", "cases", "chests",
];

/// Draws for one problem.
pub(super) struct Draw<'a, R> {
    rng: &'a mut R,
    options: &'a Options,
}

impl<'a, R: Rng> Draw<'a, R> {
    pub fn new(rng: &'a mut R, options: &'a Options) -> Self {
        Self { rng, options }
    }

    /// Different people.
    pub fn people<const N: usize>(&mut self) -> [&'static str; N] {
        let mut people = [""; N];
        for index in 0..N {
            while people[index].is_empty() || people[..index].contains(&people[index]) {
                people[index] = self.pick(&NAMES);
            }
        }
        people
    }

    /// Things that are counted, in the plural.
    pub fn object(&mut self) -> &'static str {
        self.pick(&OBJECTS)
    }

    /// Containers that things are put in, in the plural.
    pub fn container(&mut self) -> &'static str {
        self.pick(&CONTAINERS)
    }

    /// A term of a sum: 2 up to the largest number.
    pub fn number(&mut self) -> i64 {
        self.between(2, i64::from(self.options.largest_number))
    }

    /// What is asked of a story of which both can be: a word twice as often.
    pub fn question(&mut self) -> Question {
        self.pick(&[Question::Number, Question::Word, Question::Word])
    }

    /// Two different terms to compare, and what is asked of them. The first is larger where their difference is.
    pub fn compared(&mut self) -> (i64, i64, Question) {
        let (a, question) = (self.number(), self.question());
        let b = loop {
            let b = self.number();
            if b != a {
                break b;
            }
        };
        match question {
            Question::Number => (a.max(b), a.min(b), question),
            Question::Word => (a, b, question),
        }
    }

    /// A factor: 2 up to the largest factor.
    pub fn factor(&mut self) -> i64 {
        self.between(2, i64::from(self.options.largest_factor))
    }

    /// A factor of at most 9.
    pub fn digit(&mut self) -> i64 {
        self.between(2, i64::from(self.options.largest_factor.min(9)))
    }

    /// A number of a range, both ends included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high)
    }

    /// A percentage, and a number of which it is a whole number.
    pub fn percentage(&mut self) -> (i64, i64) {
        let (percent, unit) = self.pick(&[(10, 10), (20, 5), (25, 4), (50, 2)]);
        let largest = 2 * i64::from(self.options.largest_number) / unit;
        (percent, unit * self.between(2, largest.max(3)))
    }

    /// One of a few.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        // Templates list their choices, so there is always one.
        choices.choose(self.rng).copied().unwrap_or(choices[0])
    }
}
