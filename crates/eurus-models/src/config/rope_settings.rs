//! `rope_theta`, and `rope_scaling` or its newer form `rope_parameters`, as files have them.
//!
//! A file may say a thing twice: both forms, a base inside and beside them, an original length inside and beside them. What
//! is said twice must be the same.

use serde_json::{Map, Value};

use super::refuse;
use super::rope::{RopeScaling, Yarn};
use crate::Result;

/// What the settings are read for.
pub(super) struct Shape {
    pub head_dim: usize,
    pub max_position_embeddings: usize,
    /// The family's base.
    pub default_theta: f64,
}

/// Settings that all types have, or that change nothing.
const COMMON: [&str; 6] = [
    "rope_type",
    "type",
    "rope_theta",
    "partial_rotary_factor",
    "original_max_position_embeddings",
    "finetuned",
];

/// Settings that must not be other than 1 where they are not used.
const FACTORS: [&str; 4] = [
    "factor",
    "attention_factor",
    "attn_factor",
    "extrapolation_factor",
];

/// The types and the settings that each has besides the common ones.
const TYPES: [(&str, &[&str]); 6] = [
    ("default", &[]),
    ("linear", &["factor"]),
    ("dynamic", &["factor"]),
    ("llama3", &["factor", "low_freq_factor", "high_freq_factor"]),
    (
        "yarn",
        &[
            "factor",
            "attention_factor",
            "beta_fast",
            "beta_slow",
            "mscale",
            "mscale_all_dim",
            "truncate",
        ],
    ),
    (
        "longrope",
        &["factor", "attention_factor", "short_factor", "long_factor"],
    ),
];

/// The base of the frequencies and their scaling.
pub(super) fn read(source: &Map<String, Value>, shape: &Shape) -> Result<(f64, RopeScaling)> {
    // The order of `transformers`, which looks no further than the first that is there.
    let mut read = Vec::new();
    for name in ["rope_scaling", "rope_parameters"] {
        if let Some(settings) = Settings::of(source, name)? {
            read.push((name, settings.read(shape)?));
        }
    }
    match read.as_slice() {
        [(first, taken), (second, other)] if taken != other => {
            let both = |name: &str| source.get(name).map(Value::to_string).unwrap_or_default();
            Err(refuse(
                *first,
                both(first),
                format!(
                    "but {second} is {}; they say different things, so remove the wrong one",
                    both(second)
                ),
            ))
        }
        [(_, taken), ..] => Ok(taken.clone()),
        [] => {
            let beside = Number::of(source, "rope_theta", "rope_theta")?;
            Ok((theta(beside, shape)?, RopeScaling::None))
        }
    }
}

fn theta(stated: Option<Number>, shape: &Shape) -> Result<f64> {
    match stated {
        Some(theta) if theta.value <= 1.0 => Err(theta.refuse("it must be greater than 1")),
        Some(theta) => Ok(theta.value),
        None => Ok(shape.default_theta),
    }
}

/// A number and where it stands.
struct Number {
    field: String,
    value: f64,
}

impl Number {
    /// `None` when it is missing or null.
    fn of(map: &Map<String, Value>, key: &str, field: &str) -> Result<Option<Self>> {
        match map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(Self {
                    field: field.to_owned(),
                    value: number,
                })),
                None => Err(refuse(field, value, "it must be a number")),
            },
        }
    }

    fn refuse(&self, problem: impl Into<String>) -> crate::Error {
        refuse(self.field.clone(), self.value, problem)
    }
}

/// The number that stands in one place, or in two with the same value.
fn agreed(one: Option<Number>, other: Option<Number>) -> Result<Option<Number>> {
    match (one, other) {
        (Some(one), Some(other)) if one.value != other.value => Err(one.refuse(format!(
            "but {} is {}; remove the wrong one",
            other.field, other.value
        ))),
        (one, other) => Ok(one.or(other)),
    }
}

/// One of the two forms.
struct Settings<'a> {
    name: &'static str,
    fields: &'a Map<String, Value>,
    /// What stands beside it.
    source: &'a Map<String, Value>,
}

impl<'a> Settings<'a> {
    /// `None` when it is missing, null or empty.
    fn of(source: &'a Map<String, Value>, name: &'static str) -> Result<Option<Self>> {
        match source.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(fields)) if fields.is_empty() => Ok(None),
            Some(Value::Object(fields)) => Ok(Some(Self {
                name,
                fields,
                source,
            })),
            Some(other) => Err(refuse(name, other, "it must be an object")),
        }
    }

    fn field(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }

    fn refuse(&self, key: &str, problem: impl Into<String>) -> crate::Error {
        let value = self.fields.get(key);
        let value = value.map_or_else(|| "missing".to_owned(), as_written);
        refuse(self.field(key), value, problem)
    }

    fn number(&self, key: &str) -> Result<Option<Number>> {
        Number::of(self.fields, key, &self.field(key))
    }

    /// A number above 0.
    fn positive(&self, key: &str) -> Result<Option<f64>> {
        match self.number(key)? {
            Some(number) if number.value <= 0.0 => Err(number.refuse("it must be positive")),
            number => Ok(number.map(|number| number.value)),
        }
    }

    fn needed(&self, key: &str) -> Result<f64> {
        self.positive(key)?
            .ok_or_else(|| self.refuse(key, "and this rope_type needs it"))
    }

    fn read(&self, shape: &Shape) -> Result<(f64, RopeScaling)> {
        let layers: Vec<&str> = self
            .fields
            .iter()
            .filter(|(_, value)| value.is_object())
            .map(|(key, _)| key.as_str())
            .collect();
        if !layers.is_empty() {
            return Err(refuse(
                self.name,
                format!("given per kind of layer ({})", layers.join(", ")),
                "and this decoder has one rotary embedding for all layers",
            ));
        }
        let kind = self.kind()?;
        self.check_keys(kind)?;
        let beside = Number::of(self.source, "rope_theta", "rope_theta")?;
        let theta = theta(agreed(self.number("rope_theta")?, beside)?, shape)?;
        Ok((theta, self.scaling(kind, shape)?))
    }

    fn kind(&self) -> Result<&'static str> {
        let text = |key: &str| match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(self.refuse(key, "it must be a string")),
        };
        // Files that were read and written again often have both.
        let (key, kind) = match (text("rope_type")?, text("type")?) {
            (Some(kind), Some(legacy)) if kind != legacy => {
                return Err(self.refuse(
                    "rope_type",
                    format!("but {} is {legacy}; keep the right one", self.field("type")),
                ));
            }
            (Some(kind), _) => ("rope_type", kind),
            (None, Some(kind)) => ("type", kind),
            (None, None) => ("rope_type", "default"),
        };
        let known = TYPES.iter().find(|(name, _)| *name == kind);
        known.map(|(name, _)| *name).ok_or_else(|| {
            let names = TYPES.map(|(name, _)| name).join(", ");
            self.refuse(key, format!("supported are {names}"))
        })
    }

    /// Refuses settings that nothing is known of, and those of other types: they say that another type is meant.
    fn check_keys(&self, kind: &str) -> Result<()> {
        let own = TYPES.iter().find(|(name, _)| *name == kind);
        let own = own.map_or(&[] as &[&str], |(_, keys)| keys);
        for (key, value) in self.fields {
            let neutral =
                value.is_null() || (FACTORS.contains(&key.as_str()) && value.as_f64() == Some(1.0));
            let known = COMMON.contains(&key.as_str()) || own.contains(&key.as_str());
            if !known && !neutral {
                let problem = format!(
                    "which rope type {kind} does not use; remove it, or name the type that does"
                );
                return Err(self.refuse(key, problem));
            }
        }
        match self.number("partial_rotary_factor")? {
            Some(part) if part.value != 1.0 => Err(part.refuse("supported is 1")),
            _ => Ok(()),
        }
    }

    fn scaling(&self, kind: &str, shape: &Shape) -> Result<RopeScaling> {
        Ok(match kind {
            "linear" => RopeScaling::Linear {
                factor: self.needed("factor")?,
            },
            "dynamic" => self.dynamic(shape)?,
            "llama3" => self.llama3(shape)?,
            "yarn" => RopeScaling::Yarn(self.yarn(shape)?),
            "longrope" => self.longrope(shape)?,
            _ => RopeScaling::None,
        })
    }

    /// Where the original length is said, inside the settings or beside them.
    fn stated_original(&self) -> Result<Option<Number>> {
        const KEY: &str = "original_max_position_embeddings";
        let beside = Number::of(self.source, KEY, KEY)?;
        match agreed(beside, self.number(KEY)?)? {
            Some(length) if length.value < 1.0 || length.value.fract() != 0.0 => {
                Err(length.refuse("it must be a number of tokens"))
            }
            length => Ok(length),
        }
    }

    fn original(&self, shape: &Shape) -> Result<f64> {
        let whole = shape.max_position_embeddings as f64;
        Ok(self.stated_original()?.map_or(whole, |it| it.value))
    }

    fn dynamic(&self, shape: &Shape) -> Result<RopeScaling> {
        let factor = self.needed("factor")?;
        let context = shape.max_position_embeddings;
        // `transformers` stretches from `max_position_embeddings` on, whatever the original length is said to be.
        if let Some(original) = self.stated_original()?
            && original.value != context as f64
        {
            return Err(original.refuse(format!(
                "but rope type dynamic begins at max_position_embeddings = {context}; make them the same, or remove it"
            )));
        }
        if shape.head_dim <= 2 {
            return Err(self.refuse("rope_type", "which needs a head_dim above 2"));
        }
        Ok(RopeScaling::Dynamic { factor })
    }

    fn llama3(&self, shape: &Shape) -> Result<RopeScaling> {
        let (low, high) = (
            self.needed("low_freq_factor")?,
            self.needed("high_freq_factor")?,
        );
        if low >= high {
            let problem = format!("it must be above low_freq_factor = {low}");
            return Err(self.refuse("high_freq_factor", problem));
        }
        Ok(RopeScaling::Llama3 {
            factor: self.needed("factor")?,
            low,
            high,
            original_positions: self.original(shape)?,
        })
    }

    fn yarn(&self, shape: &Shape) -> Result<Yarn> {
        let original_positions = self.original(shape)?;
        let whole = shape.max_position_embeddings as f64;
        let factor = self.positive("factor")?;
        let factor = factor.unwrap_or(whole / original_positions);
        // Where 0 means the same as a missing key.
        let or_nothing = |key: &str| -> Result<Option<f64>> {
            let number = self.number(key)?.map(|number| number.value);
            Ok(number.filter(|number| *number != 0.0))
        };
        let scale = |by: f64| match factor > 1.0 {
            true => 0.1 * by * factor.ln() + 1.0,
            false => 1.0,
        };
        let derived = match (or_nothing("mscale")?, or_nothing("mscale_all_dim")?) {
            (Some(one), Some(all)) => scale(one) / scale(all),
            _ => scale(1.0),
        };
        let truncate = match self.fields.get("truncate") {
            None => true,
            Some(Value::Bool(truncate)) => *truncate,
            Some(_) => return Err(self.refuse("truncate", "it must be true or false")),
        };
        let beta = |key: &str, default: f64| match or_nothing(key)? {
            Some(beta) if beta < 0.0 => Err(self.refuse(key, "it must be positive")),
            beta => Ok(beta.unwrap_or(default)),
        };
        let (beta_fast, beta_slow) = (beta("beta_fast", 32.0)?, beta("beta_slow", 1.0)?);
        if beta_fast < beta_slow {
            let problem = format!("it must not be below beta_slow = {beta_slow}");
            return Err(self.refuse("beta_fast", problem));
        }
        Ok(Yarn {
            factor,
            beta_fast,
            beta_slow,
            truncate,
            original_positions,
            attention_factor: self.positive("attention_factor")?.unwrap_or(derived),
        })
    }

    fn longrope(&self, shape: &Shape) -> Result<RopeScaling> {
        let original_positions = self.original(shape)?;
        let whole = shape.max_position_embeddings as f64;
        let factor = self.positive("factor")?;
        let factor = factor.unwrap_or(whole / original_positions);
        let derived = match factor > 1.0 {
            true => (1.0 + factor.ln() / original_positions.ln()).sqrt(),
            false => 1.0,
        };
        Ok(RopeScaling::LongRope {
            short: self.divisors("short_factor", shape)?,
            long: self.divisors("long_factor", shape)?,
            original_positions,
            attention_factor: self.positive("attention_factor")?.unwrap_or(derived),
        })
    }

    fn divisors(&self, key: &str, shape: &Shape) -> Result<Vec<f64>> {
        let wanted = shape.head_dim / 2;
        let numbers = match self.fields.get(key) {
            Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
            _ => None,
        };
        numbers
            .filter(|numbers: &Vec<f64>| {
                numbers.len() == wanted && numbers.iter().all(|number| *number > 0.0)
            })
            .ok_or_else(|| {
                let problem =
                    format!("it must be a list of head_dim / 2 = {wanted} positive numbers");
                self.refuse(key, problem)
            })
    }
}

fn as_written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
