//! Pages in a real browser: Debian's Chromium without a window, over its DevTools protocol.

mod axe;
mod connection;
mod page;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::skip;
use connection::Connection;
pub use page::{Page, View};

/// The names that the program has.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with a profile of its own, which ends with the value.
///
/// ```no_run
/// use test_support::chromium::{Chromium, View};
///
/// let Some(browser) = Chromium::start() else { return };
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("page.html");
/// std::fs::write(&path, "<!doctype html><title>It</title><h1>Here</h1>").unwrap();
/// let mut page = browser.open(&path, View::default()).unwrap();
/// assert_eq!(page.evaluate("document.title").unwrap(), "It");
/// assert!(page.complaints().is_empty());
/// ```
#[derive(Debug)]
pub struct Chromium {
    process: Child,
    /// `HOST:PORT` of the protocol.
    address: String,
    /// Of the protocol, for the browser as a whole.
    url: String,
    _profile: TempDir,
}

impl Chromium {
    /// Starts the browser; `None`, said on standard error, where there is none or it does not start.
    pub fn start() -> Option<Self> {
        let started = Self::try_start();
        started
            .inspect_err(|problem| skip(format_args!("no Chromium: {problem}")))
            .ok()
    }

    fn try_start() -> Result<Self, String> {
        let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut problem = String::new();
        for program in PROGRAMS {
            let spawned = Command::new(program)
                .args([
                    "--headless=new",
                    // Root has no sandbox, and containers rarely have one.
                    "--no-sandbox",
                    "--disable-dev-shm-usage",
                    "--disable-gpu",
                    "--no-first-run",
                    "--disable-background-networking",
                    "--disable-component-update",
                    "--disable-extensions",
                    "--disable-sync",
                    "--force-color-profile=srgb",
                    "--hide-scrollbars",
                    "--remote-debugging-port=0",
                ])
                .arg(format!("--user-data-dir={}", profile.path().display()))
                .arg("about:blank")
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn();
            match spawned {
                Ok(process) => return Self::connect(process, profile),
                Err(error) => problem = format!("{program}: {error}"),
            }
        }
        Err(format!("{problem}; install Debian's package `chromium`"))
    }

    fn connect(mut process: Child, profile: TempDir) -> Result<Self, String> {
        let said = process.stderr.take();
        let mut browser = Self {
            process,
            address: String::new(),
            url: String::new(),
            _profile: profile,
        };
        let mut last = String::new();
        let mut lines = said.into_iter().flat_map(|it| BufReader::new(it).lines());
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                let address = url
                    .strip_prefix("ws://")
                    .and_then(|rest| rest.split('/').next());
                browser.address = address.unwrap_or_default().to_owned();
                browser.url = url.to_owned();
                break;
            }
            last = line;
        }
        if browser.url.is_empty() {
            return Err(format!("it ended before it listened: {last}"));
        }
        // What it goes on to say must be read, or it waits.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(browser)
    }

    /// Opens a file in a tab of its own and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn open(&self, path: impl AsRef<std::path::Path>, view: View) -> Result<Page, String> {
        let path = path.as_ref();
        let path = path
            .canonicalize()
            .map_err(|error| format!("{}: {error}", path.display()))?;
        self.open_url(&format!("file://{}", path.display()), view)
    }

    /// Opens an address in a tab of its own and waits until it is loaded.
    ///
    /// # Errors
    ///
    /// What the browser says.
    pub fn open_url(&self, url: &str, view: View) -> Result<Page, String> {
        let mut browser = Connection::open(&self.url)?;
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let id = target["targetId"].as_str().unwrap_or_default();
        let connection = Connection::open(&format!("ws://{}/devtools/page/{id}", self.address))?;
        Page::load(connection, url, view)
    }

    /// Memory of all the browser's processes, in bytes: pages that several share count once (Linux alone).
    pub fn memory_bytes(&self) -> Option<u64> {
        let mut total = 0;
        let mut open = vec![self.process.id()];
        while let Some(process) = open.pop() {
            total += proportional_bytes(process)?;
            open.extend(children_of(process));
        }
        Some(total)
    }
}

fn proportional_bytes(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

fn children_of(process: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|it| it.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Asked, it ends its other processes too.
        if let Ok(mut browser) = Connection::open(&self.url) {
            let _ = browser.call("Browser.close", json!({}));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
