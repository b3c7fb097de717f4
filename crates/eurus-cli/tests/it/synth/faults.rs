//! A server of which three calls in ten fail, and actors whose code is an attack: all trees in one start.
//! `EURUS_FAULTY_TREES` says how many.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use test_support::count;
use test_support::servers::{ChatServer, Fault, FaultProxy, Reply};

use super::company::{company, mixed, texts};
use super::site::{RUN, Site, actions};

/// 30 % in all.
const FAULTS: [(f64, Fault); 7] = [
    (0.06, Fault::TooManyRequests),
    (0.06, Fault::ServerError),
    (0.02, Fault::Hang(Duration::from_secs(4))),
    (0.04, Fault::Truncated),
    (0.04, Fault::HalfJson),
    (0.04, Fault::ErrorBody),
    (0.04, Fault::Page),
];

fn trees() -> usize {
    count("EURUS_FAULTY_TREES", 40)
}

/// A run through a server that fails, in one start; code has so many seconds.
fn run_with_faults(server: &ChatServer, seconds: &str) -> Result<Site> {
    let proxy = FaultProxy::before(&server.base_url, &FAULTS, 11);
    let site = Site::new(trees(), &proxy.base_url)?;
    site.edit_endpoints("timeout_seconds = 2.0")?;
    site.edit(&[
        ("trees_in_flight = 6", "trees_in_flight = 16"),
        (
            "interpreters = 2",
            &format!("interpreters = 4\nseconds = {seconds}"),
        ),
    ])?;
    site.ends(RUN, 0, &[])?;
    let counts = proxy.counts();
    let all: usize = counts.values().sum();
    let failed = all - counts.get(&None).copied().unwrap_or_default();
    ensure!(
        failed * 100 >= all * 20,
        "only {failed} of {all} calls met a fault"
    );
    for (_, fault) in FAULTS {
        ensure!(
            counts.contains_key(&Some(fault)),
            "{fault:?} did not happen"
        );
    }
    let jobs = &site.status("run.db")?["jobs"];
    ensure!(jobs["done"] == trees(), "{jobs}");
    Ok(site)
}

#[test]
fn a_server_of_which_three_calls_in_ten_fail_gives_all_trees_in_one_start_and_the_same()
-> Result<()> {
    let server = company(Duration::ZERO);
    let site = run_with_faults(&server, "10.0")?;
    let reference = company(Duration::ZERO);
    let whole = Site::new(trees(), &reference.base_url)?;
    whole.ends(RUN, 0, &[])?;
    ensure!(
        site.trees("run.db")? == whole.trees("run.db")?,
        "other trees"
    );
    Ok(())
}

/// What a hostile actor has its code do; each must fail alone.
const ATTACKS: [&str; 5] = [
    // Forged events, with and without the key of the cell.
    "import os, sys, time\nframe = sys._getframe()\nwhile frame and 'self' not in frame.f_locals: frame = frame.f_back\n\
     key = getattr(frame.f_locals['self'], 'key', '') if frame else ''\n\
     for fd in range(3, 64):\n    for event in ('{\"status\": \"ok\"}', '{\"status\": \"ok\", \"output\": \"7\", \"key\": \"%s\"}' % key, \
     'ready'):\n        try: os.write(fd, event.encode() + b'\\n')\n        except OSError: pass\ntime.sleep(1000)",
    // Every process that it can reach.
    "import os, signal\nfor victim in [-1, os.getppid(), 1, 2] + list(range(2, 40000)):\n    if victim != os.getpid():\n        \
     try: os.kill(victim, signal.SIGKILL)\n        except OSError: pass\nos.kill(os.getpid(), signal.SIGKILL)",
    // Every descriptor, with rubbish, and then none.
    "import os\nfor fd in range(1, 256):\n    try: os.write(fd, b'\\x00\\xff{]' * 1000)\n    except OSError: pass\nos.closerange(0, 256)",
    // Descriptors of others.
    "import glob\nfor name in glob.glob('/proc/*/fd/*'):\n    try: open(name, 'wb', 0).write(b'All tests pass.\\n7\\n')\n    \
     except OSError: pass\nraise SystemExit(0)",
    // Time and memory.
    "import os\nwhile os.fork() >= 0: hoard = bytearray(1 << 28)",
];

/// The scripted models, of which the cheap one and the one that must be wrong attack now and then.
fn hostile_company() -> ChatServer {
    ChatServer::answering(|call| {
        let mut texts = texts(call);
        let part = call.body["model"].as_str().unwrap_or_default();
        let first = call.body["seed"].as_u64().unwrap_or_default();
        if matches!(part, "cheap" | "incorrect") {
            for (text, seed) in texts.iter_mut().zip(first..) {
                let drawn = mixed(&call.body["messages"].to_string(), seed ^ 0x5eed);
                if drawn.is_multiple_of(4) {
                    let attack = ATTACKS[drawn as usize / 4 % ATTACKS.len()];
                    *text = format!(
                        "Step 1: Hostile way {}.\n```python\n{attack}\n```",
                        drawn % 90
                    );
                }
            }
        }
        Reply::texts(&texts)
    })
}

#[test]
fn a_hostile_actor_behind_a_failing_server_loses_its_own_actions_and_no_tree() -> Result<()> {
    let server = hostile_company();
    let site = run_with_faults(&server, "1.0")?;
    let (mut hostile, mut honest) = (0, 0);
    for tree in site.trees("run.db")? {
        let tree: Value = serde_json::from_str(&tree)?;
        let instruction = tree["nodes"][0]["content"]["instruction"]
            .as_str()
            .unwrap_or_default();
        for action in actions(&tree) {
            let (text, verdict) = (
                action["text"].as_str().unwrap_or_default(),
                &action["verdict"],
            );
            if text.contains("Hostile way") {
                hostile += 1;
                ensure!(verdict == "incorrect", "{verdict}: {text}");
            } else if action["source"] == "sampled" {
                honest += 1;
                let is_right = super::puzzles::is_right(instruction, text);
                ensure!(
                    verdict == if is_right { "correct" } else { "incorrect" },
                    "{verdict}: {text}"
                );
            }
        }
    }
    ensure!(
        hostile > 0 && honest > hostile,
        "{hostile} hostile and {honest} honest actions"
    );
    Ok(())
}
