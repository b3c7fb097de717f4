//! All models of a run as one scripted server: what each answers follows from the text, the seed and its part.

use std::time::Duration;

use serde_json::{Value, json};
use test_support::servers::{Call, ChatServer, Reply};

use super::puzzles::{Able, Puzzle};

/// The parts, which are the names of the models too.
pub const PARTS: [&str; 5] = ["cheap", "stronger", "incorrect", "teacher", "critic"];

/// The scripted models, each call after a pause.
pub fn company(pause: Duration) -> ChatServer {
    ChatServer::answering(move |call| {
        std::thread::sleep(pause);
        reply(call)
    })
}

/// What the model of a call answers, with as many tokens as it has.
pub fn reply(call: &Call) -> Reply {
    let texts = texts(call);
    let bytes: usize = texts.iter().map(String::len).sum();
    let mut answer = Reply::completion(&texts);
    let prompt = call.body["messages"].to_string().len();
    answer["usage"] = json!({"prompt_tokens": prompt / 3, "completion_tokens": bytes / 3 + 1});
    Reply::ok(answer.to_string())
}

/// What the model of a call answers: as many texts as were asked for, each by its own seed alone.
pub fn texts(call: &Call) -> Vec<String> {
    let first = call.body["seed"].as_u64().unwrap_or_default();
    (0..call.samples() as u64)
        .map(|sample| text(&call.body, first + sample))
        .collect()
}

/// The answer of a sample.
pub fn text(body: &Value, seed: u64) -> String {
    let asked = user_text(body);
    let drawn = mixed(&body["messages"].to_string(), seed);
    let part = body["model"].as_str().unwrap_or_default();
    let Some(puzzle) = Puzzle::in_text(&asked) else {
        return "I see no problem.".to_owned();
    };
    let able = puzzle.able();
    let is_right = match part {
        "critic" => {
            return format!(
                "Look at step 1 again, and think it over {} times.",
                drawn % 7 + 2
            );
        }
        "cheap" => match able {
            Able::Everybody => true,
            Able::Sometimes => drawn.is_multiple_of(3),
            _ => false,
        },
        "stronger" => able == Able::Stronger,
        "teacher" => able == Able::Teacher,
        _ => false,
    };
    let system = body["messages"][0]["content"].as_str().unwrap_or_default();
    let as_program = format!("{system}{asked}").contains("Python");
    puzzle.action(is_right, as_program, drawn % 50)
}

/// All that the user says in a call.
pub fn user_text(body: &Value) -> String {
    let messages = body["messages"].as_array().into_iter().flatten();
    let of_user = messages.filter(|message| message["role"] == "user");
    of_user
        .filter_map(|message| message["content"].as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A number that follows from a text and a seed (FNV-1a, then the finalizer of splitmix64).
pub fn mixed(text: &str, seed: u64) -> u64 {
    let mut hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash = hash.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
