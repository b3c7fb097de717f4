//! The analyses of the paper: laws, and the files that they read.

mod files;
mod process_rewards;
