//! What a client tells about its calls.

use std::time::Duration;

use crate::Error;

/// What happens to a call, for logs and progress. The key is in no event.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallEvent<'a> {
    /// A call is sent.
    Sent {
        /// Where to.
        url: &'a str,
        /// The samples asked for; 0 where nothing is drawn.
        samples: usize,
        /// Which attempt this is, from 1.
        attempt: usize,
    },
    /// A call was answered.
    Answered {
        /// Where it went.
        url: &'a str,
        /// The samples that were asked for.
        samples: usize,
        /// The prompt's tokens.
        prompt_tokens: u64,
        /// The tokens of all samples.
        completion_tokens: u64,
        /// Whether tokens were estimated.
        estimated: bool,
        /// From sending to the last byte.
        took: Duration,
    },
    /// A call failed.
    Failed {
        /// How.
        error: &'a Error,
        /// After which wait it is made again; `None` when it is not.
        again_in: Option<Duration>,
    },
    /// The server was found to give no more samples than this in one call.
    SamplesPerCall {
        /// The server.
        url: &'a str,
        /// The most samples.
        most: usize,
    },
}

/// Who is told.
pub(super) type Observer = dyn Fn(&CallEvent<'_>) + Send + Sync;
