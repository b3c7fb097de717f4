//! The page of runs that go on, over HTTP on this machine alone.
//!
//! Trees have a page of their own, `/trees`, which reads a range of them from their files: there may be more of them than a page
//! can have. `/report.html` is the page as it would be written now; `/` is the same page with a script that asks for a newer one every
//! second and puts in what has changed, so that the reader stays where he is. Once all runs are complete, `/` is the page that
//! would be written, to the byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use eurus_eval::report::Report;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::page;
use crate::runs::Runs;
use crate::trees::{self, Scores, TreeSource};

const SCRIPT: &str = include_str!("live.js");

/// Says in an answer that there will be no newer page.
const COMPLETE: HeaderName = HeaderName::from_static("eurus-complete");

/// What a page is made of.
#[derive(Debug)]
pub struct Source {
    /// The runs.
    pub runs: Runs,
    /// The title of the page.
    pub title: String,
    /// Trees to look at beside them.
    pub trees: Option<Arc<TreeFiles>>,
}

/// Trees that are read as they are looked at.
#[derive(Debug)]
pub struct TreeFiles {
    /// The title of their page.
    pub title: String,
    /// Their files.
    pub source: TreeSource,
    /// What models say of them.
    pub scores: Vec<Scores>,
    /// How many a page has.
    pub at_once: usize,
}

/// A server of one page, at 127.0.0.1.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    source: Source,
}

/// The page as it was when the runs were read last.
#[derive(Debug)]
struct Page {
    source: Source,
    tag: String,
    /// As it would be written.
    plain: Arc<str>,
    /// As it follows the runs.
    live: Arc<str>,
    is_complete: bool,
}

type Shared = Arc<Mutex<Page>>;

/// Which trees are asked for; the name is [`trees::FROM`].
#[derive(Debug, Deserialize)]
struct FromPlace {
    #[serde(default, rename = "trees-from")]
    from: usize,
}

impl Source {
    /// The page of the runs as they were read last.
    pub fn report(&self) -> Report {
        page::of(&self.runs, &self.title)
    }
}

impl TreeFiles {
    /// A page of the trees from a place on.
    fn page(&self, from: usize) -> Result<String> {
        let trees = self.source.range(from, self.at_once)?;
        let section = trees::viewer(&trees, &self.scores)?;
        let mut report = Report::new(&self.title);
        Ok(report.block(section.into()).to_html()?)
    }
}

impl Server {
    /// Listens at a port of 127.0.0.1; 0 takes any that is free.
    ///
    /// # Errors
    ///
    /// [`Error::PortInUse`], [`Error::Listen`].
    pub fn bind(port: u16, source: Source) -> Result<Self> {
        let in_use = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        let problem = |source: io::Error| match in_use(&source) {
            true => Error::PortInUse { port },
            false => Error::Listen { port, source },
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(problem)?;
        listener.set_nonblocking(true).map_err(problem)?;
        Ok(Self {
            address: listener.local_addr().map_err(problem)?,
            listener,
            source,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the program ends.
    ///
    /// # Errors
    ///
    /// When the first page cannot be made, or the system does not let it go on.
    pub fn run(self) -> Result<()> {
        let page = Page::new(self.source)?;
        let serve = |source| Error::Serve { source };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(serve)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(serve)?;
            axum::serve(listener, router(page)).await.map_err(serve)
        })
    }
}

fn router(page: Page) -> Router {
    let trees = page.source.trees.clone();
    let has_runs = !page.source.runs.folders().is_empty();
    let shared = Arc::new(Mutex::new(page));
    let mut router = match has_runs {
        true => Router::new()
            .route("/", get(live))
            .route("/report.html", get(plain))
            .with_state(shared),
        false => Router::new().route("/", get(|| async { Redirect::to("/trees") })),
    };
    if let Some(trees) = trees {
        let of_trees = Router::new().route("/trees", get(some_trees));
        router = router.merge(of_trees.with_state(trees));
    }
    router.layer(from_fn(of_this_machine))
}

/// A page of trees; what is wrong with their files is said in its place.
async fn some_trees(
    State(trees): State<Arc<TreeFiles>>,
    Query(place): Query<FromPlace>,
) -> Response {
    let made = tokio::task::spawn_blocking(move || trees.page(place.from)).await;
    match made {
        Ok(Ok(page)) => Html(page).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page could not be made\n",
        )
            .into_response(),
    }
}

/// Refuses requests by another name: a page elsewhere may have its own name point to this machine.
async fn of_this_machine(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|it| it.to_str().ok());
    let name = host
        .unwrap_or_default()
        .rsplit_once(':')
        .map_or(host, |it| Some(it.0));
    match name {
        Some("127.0.0.1" | "localhost") => next.run(request).await,
        _ => (StatusCode::FORBIDDEN, "this page is for 127.0.0.1 alone\n").into_response(),
    }
}

async fn live(State(page): State<Shared>, headers: HeaderMap) -> Response {
    answer(page, headers, |page| page.live.clone()).await
}

async fn plain(State(page): State<Shared>, headers: HeaderMap) -> Response {
    answer(page, headers, |page| page.plain.clone()).await
}

/// The page of the runs as they are now.
async fn answer(page: Shared, headers: HeaderMap, pick: fn(&Page) -> Arc<str>) -> Response {
    let made = tokio::task::spawn_blocking(move || {
        // A page that was half made is made again: nothing of it is kept but what was read.
        let mut page = page.lock().unwrap_or_else(PoisonError::into_inner);
        page.update();
        (page.tag.clone(), pick(&page), page.is_complete)
    });
    let Ok((tag, html, is_complete)) = made.await else {
        return (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the page could not be made\n",
        )
            .into_response();
    };
    let complete = if is_complete { "1" } else { "0" };
    let about = [
        (ETAG, tag.clone()),
        (CACHE_CONTROL, "no-cache".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (COMPLETE, complete.to_owned()),
    ];
    let known = headers.get(IF_NONE_MATCH).and_then(|it| it.to_str().ok());
    match known == Some(tag.as_str()) {
        true => (StatusCode::NOT_MODIFIED, about).into_response(),
        false => (about, html.to_string()).into_response(),
    }
}

impl Page {
    fn new(source: Source) -> Result<Self> {
        let mut page = Self {
            source,
            tag: String::new(),
            plain: Arc::default(),
            live: Arc::default(),
            is_complete: false,
        };
        page.make()?;
        Ok(page)
    }

    /// Reads what the runs have added. While a folder gets its name its files cannot be read for a moment; the page stays as it
    /// was then, and the next request reads them.
    fn update(&mut self) {
        if let Ok(true) = self.source.runs.update() {
            let _ = self.make();
        }
    }

    fn make(&mut self) -> Result<()> {
        let report = self.source.report();
        let plain = report.to_html()?;
        self.is_complete = self.source.runs.are_complete();
        self.live = match self.is_complete {
            true => plain.as_str().into(),
            false => report.to_live_html(SCRIPT)?.into(),
        };
        let digest = Sha256::digest(self.live.as_bytes());
        let digits: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.tag = format!("\"{digits}\"");
        self.plain = plain.into();
        Ok(())
    }
}
