//! `eurus serve`: the program as a server, asked by the program and by hand.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::common::{Workplace, ensure_says};

/// A server that is running.
pub struct Serving {
    child: Child,
    /// `127.0.0.1:PORT`.
    address: String,
    said: String,
}

/// Starts `eurus serve` at a free port, and waits until it is ready.
pub fn serve(place: &Workplace, options: &str) -> Result<Serving> {
    let line = format!("serve --port 0 {options}");
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut child = place
        .command(&words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    BufReader::new(child.stdout.as_mut().context("piped")?).read_line(&mut said)?;
    let address = said
        .split("http://")
        .nth(1)
        .and_then(|it| it.split('/').next());
    let Some(address) = address.map(str::to_owned) else {
        let output = child.wait_with_output()?;
        anyhow::bail!("{}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(Serving {
        child,
        address,
        said,
    })
}

impl Serving {
    /// Sends a request whose answer is still to be read.
    fn send(&self, path: &str, headers: &str, body: &Value) -> Result<TcpStream> {
        let mut connection = TcpStream::connect(&self.address)?;
        connection.set_read_timeout(Some(Duration::from_secs(120)))?;
        let body = body.to_string();
        let length = body.len();
        write!(
            connection,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
        )?;
        Ok(connection)
    }

    /// Status and body of a call.
    pub fn ask(&self, path: &str, headers: &str, body: &Value) -> Result<(String, Value)> {
        read(self.send(path, headers, body)?)
    }

    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        crate::interrupts::send(signal, self.child.id())
    }

    /// Waits for its end: the exit code and all that it said.
    fn end(self) -> Result<(Option<i32>, String)> {
        let output = self.child.wait_with_output()?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }

    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

fn read(mut connection: TcpStream) -> Result<(String, Value)> {
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let status = head.split_whitespace().nth(1).context("a status")?;
    Ok((status.to_owned(), serde_json::from_str(body)?))
}

pub fn chat(max_tokens: usize) -> Value {
    json!({"model": "default", "max_tokens": max_tokens, "temperature": 1.0, "seed": 3,
        "messages": [{"role": "user", "content": "Tom has 3 bags"}]})
}

pub const TASK: &str = r#"
name = "sums"
title = "Sums"
gold = "answer"
grader = { name = "number" }
extraction = { by = "last_number" }
decoding = { temperature = 1.0, max_tokens = 16 }
prompt = { messages = [{ role = "user", content = "What is {{ question }}?" }] }
data = { file = "sums.jsonl", fields = ["question", "answer"], items = 12 }
"#;

#[test]
fn answers_and_benchmarks_over_http_are_those_of_the_checkpoint_with_the_same_seed() -> Result<()> {
    let place = Workplace::new()?;
    fs::write(place.path("sums.toml"), TASK)?;
    let rows: Vec<Value> = (0..12)
        .map(|it| json!({"question": format!("{it} + 1"), "answer": it + 1}))
        .collect();
    place.write_rows("sums.jsonl", &rows)?;
    let prompts: Vec<Value> = (0..5)
        .map(|it| json!({"id": format!("p{it}"), "prompt": format!("What is {it} + 1?")}))
        .collect();
    place.write_rows("prompts.jsonl", &prompts)?;
    let server = serve(&place, "--model model --served-name big")?;
    ensure_says(
        &server.said,
        &["serving big at http://127.0.0.1:", "/v1", "Ctrl-C"],
    )?;
    let url = format!("http://{}/v1", server.address);

    let generate =
        "generate --data prompts.jsonl --samples 20 --max-tokens 12 --seed 5 --logprobs --stop 3";
    place.succeed(&format!("{generate} --model model --out here.jsonl"))?;
    place.succeed(&format!(
        "{generate} --model {url} --served-name big --out there.jsonl"
    ))?;
    let answers = |name: &str| -> Result<Vec<Value>> {
        let text = fs::read_to_string(place.path(name))?;
        let mut lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        for line in &mut lines {
            // Where there are log-probs a client counts them, that of the end among them.
            line.as_object_mut().context("an object")?.remove("tokens");
        }
        Ok(lines)
    };
    ensure!(answers("here.jsonl")?.len() == 100);
    ensure!(answers("here.jsonl")? == answers("there.jsonl")?);

    for (model, out) in [("model", "here"), (&*url, "there")] {
        place.succeed(&format!(
            "eval run --task sums.toml --model {model} --samples 2 --out {out}"
        ))?;
    }
    let texts = |run: &str| -> Result<Vec<Value>> {
        let settings = fs::read_dir(place.path(run))?.filter_map(Result::ok);
        let files = settings.map(|it| it.path().join("answers.jsonl"));
        let file = files.filter(|it| it.exists()).last();
        let text = fs::read_to_string(file.context("answers")?)?;
        let lines = text.lines().map(serde_json::from_str::<Value>);
        lines.map(|line| Ok(line?["text"].clone())).collect()
    };
    ensure!(texts("here")?.len() == 24, "{:?}", texts("here")?);
    ensure!(texts("here")? == texts("there")?);
    server.kill()
}

#[test]
#[cfg(unix)]
fn an_interrupt_lets_what_has_begun_end_and_refuses_the_rest_and_a_second_one_ends_at_once()
-> Result<()> {
    use rustix::process::Signal;
    let place = Workplace::new()?;
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let server = serve(&place, "--model model --max-answer-tokens 4096")?;
        let running = server.send("/v1/chat/completions", "", &chat(4096))?;
        std::thread::sleep(Duration::from_millis(300));
        server.signal(signal)?;
        let (status, answer) = read(running)?;
        ensure!(status == "200", "{answer}");
        ensure!(answer["usage"]["completion_tokens"].as_u64() > Some(0));
        let address = server.address.clone();
        let (ended, said) = server.end()?;
        ensure!(ended == Some(code), "{ended:?} {said}");
        ensure_says(
            &said,
            &["requests that have begun are answered", "second interrupt"],
        )?;
        ensure!(TcpStream::connect(address).is_err(), "nobody listens");
    }
    let server = serve(&place, "--model model")?;
    let mut many = chat(4096);
    many["n"] = json!(200);
    let _running = server.send("/v1/chat/completions", "", &many)?;
    std::thread::sleep(Duration::from_millis(300));
    server.signal(Signal::INT)?;
    std::thread::sleep(Duration::from_millis(300));
    server.signal(Signal::INT)?;
    let (ended, said) = server.end()?;
    ensure!(ended == Some(130), "{ended:?} {said}");
    ensure_says(&said, &["were not answered"])
}

#[test]
fn a_reward_model_is_recognized_and_gives_the_rewards_of_eurus_score() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("reward --model model --data pairs.jsonl --max-steps 2 --trees-per-step 3 --learning-rate 3e-2 --out rm")?;
    let question = "Tom has 3 bags of 3 apples. How many apples are there?";
    let answers = ["Step 1: 3 * 3 = 9. Answer: 9", "I do not know. Answer: 3"];
    let rows: Vec<Value> = answers
        .iter()
        .map(|answer| {
            json!({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})
        })
        .collect();
    place.write_rows("answers.jsonl", &rows)?;
    place.succeed("score --model rm --data answers.jsonl --out scores.jsonl")?;
    let scores: Vec<f64> = fs::read_to_string(place.path("scores.jsonl"))?
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line)?;
            line["reward"].as_f64().context("a reward")
        })
        .collect::<Result<_>>()?;
    let server = serve(&place, "--model rm")?;
    ensure_says(&server.said, &["serving rm at", "/get_reward"])?;
    let tokenizer = eurus::forest::ChatTokenizer::from_folder(place.path("rm"))?;
    let texts: Vec<String> = answers
        .iter()
        .map(|answer| {
            let messages = [
                eurus::forest::Message::user(question),
                eurus::forest::Message::assistant(*answer),
            ];
            let prompt = tokenizer.prompt_text(&messages[..1])?;
            Ok(format!("{prompt}{answer}{}", tokenizer.eos()))
        })
        .collect::<Result<_>>()?;
    let (status, answer) = server.ask("/get_reward", "", &json!({"query": texts}))?;
    ensure!(status == "200", "{answer}");
    for (place, score) in scores.iter().enumerate() {
        let reward = answer["rewards"][place].as_f64().context("a reward")?;
        ensure!((reward - score).abs() < 1e-4, "{answer} {scores:?}");
    }
    server.kill()?;
    let message = place.refusal("serve --model rm --weights int8 --port 0")?;
    ensure_says(&message, &["--weights has no effect", "reward model"])
}

#[test]
fn a_key_is_asked_for_and_a_name_that_has_none_is_an_error() -> Result<()> {
    let place = Workplace::new()?;
    let message = place.refusal("serve --model model --api-key-env EURUS_NO_SUCH_KEY --port 0")?;
    ensure_says(&message, &["EURUS_NO_SUCH_KEY", "not set", "export"])?;
    // What every shell has set.
    let server = serve(&place, "--model model --api-key-env PATH")?;
    let (status, answer) = server.ask("/v1/chat/completions", "", &chat(3))?;
    ensure!(status == "401", "{answer}");
    let key = format!("authorization: Bearer {}\r\n", std::env::var("PATH")?);
    let (status, answer) = server.ask("/v1/chat/completions", &key, &chat(3))?;
    ensure!(status == "200", "{answer}");
    server.kill()
}

#[test]
fn a_port_that_is_in_use_and_a_host_that_is_none_are_one_message_with_a_remedy() -> Result<()> {
    let place = Workplace::new()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let output = place.run(&format!("serve --model model --port {port}"))?;
    ensure!(output.status.code() == Some(1));
    let message = String::from_utf8(output.stderr)?;
    ensure!(message.trim().lines().count() == 1, "{message}");
    ensure_says(&message, &[&port.to_string(), "in use", "another port"])?;
    let message = place.refusal("serve --model model --host 203.0.113.7 --port 0")?;
    ensure_says(&message, &["203.0.113.7", "127.0.0.1"])?;
    let message = place.refusal("serve --model nothing-here --port 0")?;
    ensure_says(&message, &["nothing-here", "--model"])
}
