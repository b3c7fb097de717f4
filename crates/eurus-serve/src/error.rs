//! Why one cannot serve a model.

/// What went wrong, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A host that is no address of this machine.
    #[error(
        "{host}: not an address of this machine ({source}); give an address such as 127.0.0.1, or 0.0.0.0 for all of them"
    )]
    Host {
        /// The host.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A port that another program listens at.
    #[error(
        "port {port} of {host} is in use by another program; end that one, or choose another port (0 takes one that is free)"
    )]
    PortInUse {
        /// The host.
        host: String,
        /// The port.
        port: u16,
    },
    /// A port that one cannot listen at.
    #[error("cannot listen at port {port} of {host}: {source}; choose another host or port")]
    Listen {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A setting that cannot be right.
    #[error("{setting}: {problem}")]
    Setting {
        /// A field of [`ServeConfig`](crate::ServeConfig).
        setting: &'static str,
        /// The fault, and what to do.
        problem: String,
    },
    /// The system gave no thread or no timer.
    #[error("cannot start serving: {source}")]
    Start {
        /// What the system said.
        source: std::io::Error,
    },
}

/// A result with the error of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
