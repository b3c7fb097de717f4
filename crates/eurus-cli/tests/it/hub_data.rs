//! `--data organization/name[@revision][/file]`, against a server on this machine that answers as the hub does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::common::{Workplace, ensure_says};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The data set `org/toy`, with branch `main` and tag `v1`.
struct Hub {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Hub {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let requests: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = requests.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &files, &seen);
            }
        });
        Ok(Self { address, requests })
    }

    fn asked(&self) -> usize {
        self.requests.lock().map_or(0, |requests| requests.len())
    }
}

fn answer(
    mut stream: TcpStream,
    files: &BTreeMap<String, Vec<u8>>,
    seen: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut start, mut length_alone) = (0, false);
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range:") {
            let range = range.trim().trim_start_matches("bytes=");
            length_alone = range == "0-0";
            start = range
                .split('-')
                .next()
                .and_then(|it| it.parse().ok())
                .unwrap_or(0);
        }
    }
    if let Ok(mut seen) = seen.lock() {
        seen.push(path.clone());
    }
    let mut reply = |status: u16, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Status\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)
    };
    if let Some(revision) = path.strip_prefix("/api/datasets/org/toy/revision/") {
        if !["main", "v1"].contains(&revision) {
            return reply(404, "", b"");
        }
        let names: Vec<_> = files
            .keys()
            .map(|name| json!({"rfilename": name}))
            .collect();
        let body = json!({"sha": COMMIT, "siblings": names}).to_string();
        return reply(200, "", body.as_bytes());
    }
    let name = path.strip_prefix(&format!("/datasets/org/toy/resolve/{COMMIT}/"));
    let Some(file) = name.and_then(|name| files.get(name)) else {
        return reply(404, "", b"");
    };
    let all = file.len();
    let headers = |first: usize, last: usize| {
        format!(
            "X-Repo-Commit: {COMMIT}\r\nETag: \"{:040x}\"\r\nContent-Range: bytes {first}-{last}/{all}\r\n",
            crc32c::crc32c(file)
        )
    };
    match length_alone {
        true => reply(206, &headers(0, 0), &file[..1]),
        false => reply(206, &headers(start, all - 1), &file[start.min(all)..]),
    }
}

fn hub_of(place: &Workplace) -> Result<Hub> {
    let read = |name: &str| std::fs::read(place.path(name));
    Hub::start(BTreeMap::from([
        ("README.md".to_owned(), b"read me".to_vec()),
        ("data/pairs.jsonl".to_owned(), read("pairs.jsonl")?),
        ("sft/train.jsonl".to_owned(), read("sft.jsonl")?),
        ("dataset_infos.json".to_owned(), b"{}".to_vec()),
    ]))
}

fn run(place: &Workplace, hub: &Hub, arguments: &str, offline: bool) -> Result<Output> {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = place.command(&words);
    command
        .env("HF_ENDPOINT", &hub.address)
        .env("HF_HUB_CACHE", place.path("hub"))
        .env_remove("HF_TOKEN");
    if offline {
        command.env("HF_HUB_OFFLINE", "1");
    }
    Ok(command.output()?)
}

fn succeed(place: &Workplace, hub: &Hub, arguments: &str, offline: bool) -> Result<String> {
    let output = run(place, hub, arguments, offline)?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{arguments}: {message}");
    Ok(message)
}

fn refusal(place: &Workplace, hub: &Hub, arguments: &str) -> Result<String> {
    let output = run(place, hub, arguments, false)?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "{arguments}: {message}");
    Ok(message)
}

#[test]
fn every_command_with_data_takes_those_of_the_hub_and_keeps_them_as_its_client_does() -> Result<()>
{
    let place = Workplace::new()?;
    let hub = hub_of(&place)?;
    let train = "--model model --max-steps 1";
    succeed(
        &place,
        &hub,
        &format!("sft {train} --data org/toy/sft --out here"),
        false,
    )?;
    let kept = place.path("hub/datasets--org--toy/snapshots").join(COMMIT);
    ensure!(kept.join("sft/train.jsonl").exists(), "{}", kept.display());
    ensure!(!kept.join("data").exists() && !kept.join("README.md").exists());
    place.succeed(&format!("sft {train} --data sft.jsonl --out there"))?;
    ensure!(place.weights("here")? == place.weights("there")?);

    let asked = hub.asked();
    succeed(
        &place,
        &hub,
        &format!(
            "prefer {train} --algorithm dpo --data org/toy@v1/data/pairs.jsonl --eval org/toy/data --out kto"
        ),
        false,
    )?;
    ensure!(hub.asked() > asked);
    // What has been downloaded is enough without a connection.
    let asked = hub.asked();
    for command in [
        "plan sft --model model --data org/toy/sft/train.jsonl".to_owned(),
        format!("reward {train} --data org/toy/data/pairs.jsonl --out rm"),
        "generate --model model --data org/toy/data --limit 1 --max-tokens 2 --out answers.jsonl"
            .to_owned(),
        "score --model rm --data org/toy/data --out scores.jsonl".to_owned(),
        "eval rm pairs --data org/toy/data/pairs.jsonl --model rm".to_owned(),
    ] {
        succeed(&place, &hub, &command, true)?;
    }
    ensure!(hub.asked() == asked, "nothing was asked for offline");
    Ok(())
}

#[test]
fn a_path_here_wins_over_a_name_of_the_hub_and_slips_are_told_apart() -> Result<()> {
    let place = Workplace::new()?;
    let hub = hub_of(&place)?;
    let plan = "plan sft --model model --data";
    std::fs::create_dir(place.path("org"))?;
    std::fs::copy(place.path("sft.jsonl"), place.path("org/toy"))?;
    let said = succeed(&place, &hub, &format!("{plan} org/toy"), false)?;
    ensure_says(
        &said,
        &["org/toy: the path here is read, not the data set of the hub"],
    )?;
    // A slip in a path asks nobody.
    let asked = hub.asked();
    for slip in ["org/toi", "data/train.jsonl", "./a/b", "sft.json"] {
        let message = refusal(&place, &hub, &format!("{plan} {slip}"))?;
        ensure_says(&message, &[slip, "does not exist"])?;
    }
    ensure!(hub.asked() == 0 && asked == 0);
    std::fs::remove_dir_all(place.path("org"))?;
    for (name, says) in [
        (
            "org/none",
            &[
                "there is no file org/none here",
                "no such data set, revision or file (404)",
            ][..],
        ),
        ("org/toy@v9", &["org/toy@v9", "404"]),
        (
            "org/toy/nothing",
            &["it has no file or folder `nothing`", "data/pairs.jsonl"],
        ),
    ] {
        ensure_says(&refusal(&place, &hub, &format!("{plan} {name}"))?, says)?;
    }
    // Where one file is wanted, a data set of several does not say which.
    ensure_says(
        &refusal(&place, &hub, "eval rm pairs --data org/toy --model model")?,
        &["several files of rows", "org/toy/FILE"],
    )
}
