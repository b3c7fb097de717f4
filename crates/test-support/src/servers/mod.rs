//! Servers that tests talk to: one that answers as a test tells it to, one that garbles the answers of another, and a real
//! model.

mod faults;
mod http;
mod llama;
mod scripted;

pub use faults::{Fault, FaultProxy};
pub use llama::LlamaServer;
pub use scripted::{Call, ChatServer, Reply};
