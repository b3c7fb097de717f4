//! The error type of configurations and calls.

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
        /// The values that are allowed.
        expected: &'static str,
    },

    /// A number in the configuration of a monitor is outside its range.
    #[error("collapse monitor: `{field}` is {value}; it must be {expected}")]
    InvalidMonitor {
        /// Name of the field.
        field: &'static str,
        /// The value that was given.
        value: f64,
        /// The values that are allowed.
        expected: &'static str,
    },

    /// KTO was asked for a loss without its KL estimate.
    #[error(
        "kto loss: no KL estimate was given; compute one with `Kto::kl` from the log-probs of \
         mismatched (prompt, response) pairs, or set `kl` to `zero` in the configuration"
    )]
    MissingKl,

    /// A loss that is normalized by length was asked for without lengths.
    #[error(
        "{loss} loss: no response lengths were given, but this form of it divides by the number \
         of tokens; put them into `PairContext::lengths`"
    )]
    MissingLengths {
        /// Name of the loss, as in its serialized `type`.
        loss: &'static str,
    },

    /// A loss was asked for without something that it looks at.
    #[error("{loss} loss: no {what} were given; put them into `{place}`")]
    Missing {
        /// Name of the loss, as in its serialized `type`.
        loss: &'static str,
        /// The input that it needs.
        what: &'static str,
        /// Where that goes.
        place: &'static str,
    },

    /// The losses of a batch cannot be weighted pair by pair.
    #[error(
        "{weighting} weighting: the entries of this loss do not belong to one pair each, since it \
         sorts its batch; weight another loss"
    )]
    NotPerPair {
        /// Name of the weighting.
        weighting: &'static str,
    },

    /// A weighted sum of losses cannot be made of these terms.
    #[error("sum loss: {reason}")]
    InvalidSum {
        /// The fault of the terms, and a remedy.
        reason: &'static str,
    },
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

/// Requires a rate of flipped labels for which its two-sided loss still prefers the label.
pub(crate) fn flip_rate(loss: &'static str, value: f64) -> Result<(), Error> {
    let holds = (0.0..=0.5).contains(&value);
    check(loss, "label_smoothing", value, holds, "from 0 to 0.5")
}
