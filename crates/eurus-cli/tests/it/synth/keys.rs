//! The API key: the server gets it, and nobody and nothing else.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use test_support::servers::{ChatServer, Reply};
use test_support::skip;

use super::company::{texts, user_text};
use super::site::{Ended, RUN, Site, end};
use crate::common::LEVEL;

const VARIABLE: &str = "EURUS_TEST_SYNTH_KEY";
const KEY: &str = "sk-7f3a9c51e2d84b60";

/// An action that looks for the key wherever it can, and shows all that it finds.
const SPY: &str = "Step 1: Look around.\n```python\nimport glob, os\nprint(dict(os.environ))\n\
                   for name in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline') + glob.glob('/proc/*/task/*/environ') \
                   + ['/proc/self/environ', f'/proc/{os.getppid()}/environ']:\n    try:\n        print(name, open(name, \
                   errors='replace').read())\n    except OSError as error:\n        print(name, error)\nprint('looked around')\n```";

/// Everything below a folder that has the key in it.
fn holding_the_key(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(holding_the_key(&path)?);
        } else {
            let bytes = std::fs::read(&path)?;
            if bytes
                .windows(KEY.len())
                .any(|window| window == KEY.as_bytes())
            {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}

fn with_key(site: &Site, arguments: &str) -> Result<Ended> {
    end(site.start_with(arguments, VARIABLE, KEY)?)
}

fn site(problems: usize, server: &ChatServer) -> Result<Site> {
    let site = Site::new(problems, &server.base_url)?;
    site.edit_endpoints(&format!("api_key_env = \"{VARIABLE}\""))?;
    Ok(site)
}

fn ensure_untold(site: &Site, ended: &Ended) -> Result<()> {
    for told in [&ended.out, &ended.said] {
        ensure!(!told.contains(KEY), "the key was told: {told}");
    }
    let files = holding_the_key(&site.path("."))?;
    ensure!(files.is_empty(), "the key is in {files:?}");
    Ok(())
}

#[test]
fn the_key_is_in_no_file_and_no_message_and_code_of_actions_cannot_find_it() -> Result<()> {
    let server = ChatServer::answering(|call| match call.body["model"] == "cheap" {
        true => {
            let mut texts = texts(call);
            if let Some(first) = texts.first_mut() {
                *first = SPY.to_owned();
            }
            Reply::texts(&texts)
        }
        false => Reply::texts(&texts(call)),
    });
    let site = site(12, &server)?;
    let ended = with_key(&site, RUN)?;
    ended.ensure(0, &[])?;
    ensure!(
        server
            .calls()
            .iter()
            .all(|call| call.head.contains(&format!("Bearer {KEY}"))),
        "the server did not get the key"
    );
    // The spy was heard: what it printed is what the next turn and the critic were told.
    let heard = server
        .calls()
        .iter()
        .any(|call| user_text(&call.body).contains("looked around"));
    ensure!(heard, "no observation has what the action printed");
    let bodies = server
        .calls()
        .iter()
        .any(|call| call.body.to_string().contains(KEY));
    if bodies && LEVEL.as_str() != "full" {
        skip(format_args!(
            "below `full` code can find the key; this machine has `{}`",
            *LEVEL
        ));
        return Ok(());
    }
    ensure!(!bodies, "an observation has the key");
    for kind in ["trees", "pairs", "sft"] {
        let told = with_key(
            &site,
            &format!("synth export --store run.db --kind {kind} --out {kind}-of-run.jsonl"),
        )?;
        told.ensure(0, &[])?;
    }
    ensure_untold(&site, &ended)?;
    let status = with_key(&site, "synth status --store run.db --json")?;
    ensure_untold(&site, &status)
}

#[test]
fn a_server_that_says_the_key_in_its_errors_is_quoted_without_it() -> Result<()> {
    let echo = |call: &test_support::servers::Call| {
        let line = call
            .head
            .lines()
            .find(|line| line.to_lowercase().starts_with("authorization:"));
        format!(
            "{{\"error\": {{\"message\": \"not with {}\"}}}}",
            line.unwrap_or_default()
        )
    };
    // Refused for good, for now, and as a whole.
    for (status, code) in [(400, 0), (503, 0), (401, 1)] {
        let server = ChatServer::answering(move |call| {
            let is_first = call.before == 0 && call.body["messages"].to_string().contains("larger");
            match status == 401 || (is_first && call.body["model"] == "cheap") {
                true => Reply::status(status, &echo(call)),
                false => Reply::texts(&texts(call)),
            }
        });
        let site = site(3, &server)?;
        let ended = with_key(&site, RUN)?;
        ended.ensure(code, &[])?;
        if status != 503 {
            let told = format!("{}{}", ended.out, ended.said);
            ensure!(told.contains("not with"), "{status}: {told}");
        }
        ensure_untold(&site, &ended)?;
    }
    // And one that is garbled, with a stranger's page.
    let server = ChatServer::answering(|call| Reply::ok(format!("<html>{}</html>", call.head)));
    let site = site(1, &server)?;
    site.edit(&[("retry = { ", "retry = { retries = 1, ")])?;
    let run = site.start_with(RUN, VARIABLE, KEY)?;
    super::interrupts::wait_for_calls(&server, 2)?;
    std::thread::sleep(Duration::from_millis(500));
    crate::interrupts::send(rustix::process::Signal::INT, run.id())?;
    ensure_untold(&site, &end(run)?)
}
