//! What can be wrong with a configuration or a call.

/// Everything this crate refuses.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number in a configuration is outside its range.
    #[error("{loss} loss: `{field}` is {value}; it must be {expected}")]
    InvalidConfig {
        /// Name of the loss, as in its serialized `type`.
        loss: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The value that was given.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },

    /// KTO was asked for a loss without its KL estimate.
    #[error(
        "kto loss: no KL estimate was given; compute one with `Kto::kl` from the log-probs of \
         mismatched (prompt, response) pairs, or set `kl` to `zero` in the configuration"
    )]
    MissingKl,
}

/// Requires a finite `value > 0`.
pub(crate) fn positive(loss: &'static str, field: &'static str, value: f64) -> Result<(), Error> {
    check(loss, field, value, value > 0.0, "finite and above 0")
}

/// Requires a finite `value >= 0`.
pub(crate) fn not_negative(
    loss: &'static str,
    field: &'static str,
    value: f64,
) -> Result<(), Error> {
    check(loss, field, value, value >= 0.0, "finite and at least 0")
}

/// Requires a finite `value` for which `holds` is true.
pub(crate) fn check(
    loss: &'static str,
    field: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), Error> {
    if value.is_finite() && holds {
        Ok(())
    } else {
        Err(Error::InvalidConfig {
            loss,
            field,
            value,
            expected,
        })
    }
}
