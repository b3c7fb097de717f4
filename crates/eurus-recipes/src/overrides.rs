//! Values as they stand on a command line.

use toml::Value;

use crate::keys::Kind;

/// The value that a text is, for a key of this kind.
pub(crate) fn value(kind: Kind, text: &str) -> Result<Value, String> {
    let wanted = |what: &str| format!("`{text}` is not {what}");
    Ok(match kind {
        Kind::Flag => Value::Boolean(text.parse().map_err(|_| wanted("`true` or `false`"))?),
        Kind::Integer => {
            let number: i64 = text.parse().map_err(|_| wanted("a whole number"))?;
            if number < 0 {
                return Err(wanted("a whole number from 0 on"));
            }
            Value::Integer(number)
        }
        Kind::Number => {
            let number: Option<f64> = text.parse().ok();
            let number = number.filter(|it| it.is_finite());
            Value::Float(number.ok_or_else(|| wanted("a number, such as 1e-5"))?)
        }
        Kind::Text => Value::String(text.to_owned()),
        Kind::List => {
            let names = text.split(',').map(str::trim).filter(|it| !it.is_empty());
            Value::Array(names.map(|it| Value::String(it.to_owned())).collect())
        }
    })
}
