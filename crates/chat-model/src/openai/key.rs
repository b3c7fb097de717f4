//! The API key.

use std::fmt;

use crate::{Error, Result};

/// An API key. It shows itself to nobody: `Debug` prints `ApiKey(***)`.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// A key, without the white space around it.
    ///
    /// # Errors
    ///
    /// When nothing is left, or it has characters that cannot stand in an HTTP header.
    pub fn new(key: impl AsRef<str>) -> Result<Self> {
        let key = key.as_ref().trim();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Config {
                field: "api_key",
                problem: "must be one or more visible ASCII characters without spaces".to_owned(),
            });
        }
        Ok(Self(key.to_owned()))
    }

    /// The key in an environment variable.
    ///
    /// # Errors
    ///
    /// When the variable is not set or holds no usable key.
    pub fn from_env(variable: &str) -> Result<Self> {
        std::env::var(variable)
            .ok()
            .and_then(|key| Self::new(key).ok())
            .ok_or_else(|| Error::MissingKey {
                variable: variable.to_owned(),
            })
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ApiKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show_itself() {
        let key = ApiKey::new(" sk-very-secret\n").unwrap();
        assert_eq!(format!("{key:?}"), "ApiKey(***)");
        assert_eq!(key.expose(), "sk-very-secret");
        assert!(ApiKey::new("two words").is_err());
        assert!(ApiKey::new("").is_err());
    }

    #[test]
    fn a_missing_variable_is_named() {
        let error = ApiKey::from_env("CHAT_MODEL_TEST_NO_SUCH_VARIABLE").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("CHAT_MODEL_TEST_NO_SUCH_VARIABLE")
        );
    }
}
