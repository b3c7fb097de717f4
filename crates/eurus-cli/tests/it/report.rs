//! `eurus report` on runs of a tiny model.

mod browser;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::common::{Workplace, ensure_says};

const PREFER: &str = "prefer --model model --data pairs.jsonl --trees-per-step 3";

/// How long a test waits for what must happen at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// A page that is served, until this is dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(place: &Workplace, arguments: &str) -> Result<Self> {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let mut child = place
            .command(&words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("piped")?).read_line(&mut line)?;
        let address = line
            .strip_prefix("http://")
            .and_then(|it| it.split('/').next());
        let Some(address) = address.map(str::to_owned) else {
            let mut said = String::new();
            if let Some(mut errors) = child.stderr.take() {
                errors.read_to_string(&mut said)?;
            }
            bail!("no address: {line}{said}");
        };
        Ok(Self { child, address })
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, page) = answer.split_once("\r\n\r\n").context("an answer")?;
        Ok(page.to_owned())
    }

    /// Asks until the page says something.
    fn wait_for(&self, words: &str) -> Result<String> {
        let began = Instant::now();
        loop {
            let page = self.get("/")?;
            if page.contains(words) {
                return Ok(page);
            }
            ensure!(began.elapsed() < PATIENCE, "`{words}` is not on the page");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_page_of_real_runs_has_their_curves_warnings_judgements_and_settings() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!(
        "{PREFER} --algorithm dpo --out wild --epochs 20 --learning-rate 0.3"
    ))?;
    place.succeed(&format!(
        "{PREFER} --algorithm kto --out calm --epochs 4 --learning-rate 1e-4 --eval pairs.jsonl --eval-every 3 --eval-samples 2"
    ))?;
    place.succeed("sft --model model --data sft.jsonl --out sft --trees-per-step 3")?;
    let said = place.succeed("report wild calm sft --out page.html --title Three")?;
    ensure!(said.trim() == "report: page.html", "{said}");
    let page = fs::read_to_string(place.path("page.html"))?;
    ensure_says(
        &page,
        &[
            "<h1>Three</h1>",
            "Content-Security-Policy",
            "the chosen reward falls",
            "Margin of rewards",
            "KL estimate",
            "Tokens per second, as rows",
            "Most memory so far",
            "Judgements during training",
            "What calm wrote as its training went on",
            "learning-rate",
            "fine-tuning",
        ],
    )?;
    for outside in ["http://", "https://", "src=", "<script", "<link", " style="] {
        ensure!(!page.contains(outside), "`{outside}` is on the page");
    }
    let again = place.refusal("report wild --out page.html")?;
    ensure_says(&again, &["page.html", "--overwrite"])?;
    let nowhere = place.refusal("report wild --out nowhere/page.html")?;
    ensure_says(
        &nowhere,
        &["nowhere/page.html", "check that the folder exists"],
    )?;
    place.succeed("report wild --out page.html --overwrite")?;
    Ok(())
}

#[test]
fn what_is_no_run_is_one_message_and_exit_code_one() -> Result<()> {
    let place = Workplace::new()?;
    let cases = [
        ("report nothing --out a.html", 1, "no such file or folder"),
        ("report model --out a.html", 1, "no run is in this folder"),
        (
            "report pairs.jsonl --out a.html",
            1,
            "none of its 12 lines is an event",
        ),
        ("report model", 2, "--out <FILE>"),
        (
            "report model --serve --out a.html",
            2,
            "cannot be used with",
        ),
        ("report model --out a.html --port 1", 2, "--serve"),
    ];
    for (arguments, code, words) in cases {
        let output = place.run(arguments)?;
        let message = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(code), "{arguments}: {message}");
        ensure_says(&message, &[words])?;
        ensure!(code == 2 || message.lines().count() == 1, "{message}");
    }
    ensure!(!place.path("a.html").exists());
    Ok(())
}

#[test]
fn a_run_that_was_killed_has_a_page_of_what_it_did() -> Result<()> {
    let place = Workplace::new()?;
    let mut run = place.watch(&format!("{PREFER} --algorithm nca --out nca --epochs 4000"))?;
    run.wait_for("1/")?;
    let served = Served::start(&place, "report nca --serve --port 0")?;
    served.wait_for("it is running, or was ended")?;
    run.kill()?;
    // The last line may be half a line.
    place.succeed("report nca --out page.html")?;
    let page = fs::read_to_string(place.path("page.html"))?;
    ensure_says(
        &page,
        &["of 8000", "it is running, or was ended", "Chosen reward"],
    )?;
    ensure!(served.get("/report.html")? == page);
    #[cfg(unix)]
    {
        let mut served = served;
        crate::interrupts::send(rustix::process::Signal::INT, served.child.id())?;
        let code = served.child.wait()?.code();
        ensure!(code == Some(130), "{code:?}");
    }
    Ok(())
}

#[test]
fn the_page_follows_a_run_and_is_the_written_one_in_the_end() -> Result<()> {
    let place = Workplace::new()?;
    let mut run = place.watch(&format!("{PREFER} --algorithm kto --out kto --epochs 60"))?;
    run.wait_for("1/")?;
    let served = Served::start(&place, "report kto --serve --port 0")?;
    ensure_says(&served.get("/")?, &["<script>", "http-equiv=\"refresh\""])?;
    let (code, said) = run.end()?;
    ensure!(code == Some(0), "{said}");
    let last = served.get("/")?;
    ensure!(
        !last.contains("<script>"),
        "there is nothing left to follow"
    );
    place.succeed("report kto --out page.html")?;
    ensure!(last == fs::read_to_string(place.path("page.html"))?);
    ensure!(served.get("/report.html")? == last);
    Ok(())
}

#[test]
fn a_port_in_use_is_one_message_with_the_remedy() -> Result<()> {
    let place = Workplace::new()?;
    fs::write(place.path("metrics.jsonl"), "")?;
    let taken = TcpListener::bind(("127.0.0.1", 0))?;
    let port = taken.local_addr()?.port();
    let message = place.refusal(&format!("report metrics.jsonl --serve --port {port}"))?;
    ensure_says(&message, &["is in use", "--port", &port.to_string()])?;
    ensure!(message.lines().count() == 1, "{message}");
    Ok(())
}

#[test]
fn trees_and_what_two_models_say_of_them_are_on_the_page_or_on_one_of_their_own() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed("data convert pairs.jsonl --to tree --out trees.jsonl")?;
    place.succeed("reward --model model --data pairs.jsonl --out rm --max-steps 2")?;
    place.succeed("score --model rm --data trees.jsonl --each-turn --out rm.jsonl")?;
    place.succeed("score --policy model --reference model --data trees.jsonl --out dpo.jsonl")?;
    let trees = "--trees trees.jsonl --scores rm.jsonl --scores dpo.jsonl";
    place.succeed(&format!("report {trees} --out trees.html"))?;
    let page = fs::read_to_string(place.path("trees.html"))?;
    ensure_says(
        &page,
        &[
            "Tom has 7 bags",
            "<h1>trees.jsonl</h1>",
            "script-src 'sha256-",
        ],
    )?;
    place.succeed(&format!("report rm {trees} --out both.html"))?;
    let page = fs::read_to_string(place.path("both.html"))?;
    ensure_says(
        &page,
        &[
            "Tom has 7 bags",
            "Gradient norm",
            "<a href=\"#trees\">Preference trees</a>",
        ],
    )?;

    let served = Served::start(&place, &format!("report rm {trees} --serve --port 0"))?;
    ensure_says(&served.get("/trees")?, &["Tom has 7 bags"])?;
    ensure!(
        !served
            .get("/trees?trees-from=5")?
            .contains("Tom has 2 bags")
    );
    ensure!(!served.get("/")?.contains("Tom has"));

    let message = place.refusal("report --trees pairs.jsonl --out no.html")?;
    ensure_says(&message, &["is a pair and no tree", "pairs.jsonl", "row 1"])?;
    let message = place.refusal("report rm --scores rm.jsonl --out no.html")?;
    ensure_says(&message, &["--trees"])?;
    ensure!(!place.path("no.html").exists());
    Ok(())
}
