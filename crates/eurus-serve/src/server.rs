//! A server that runs until it is told to end.

use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use eurus_models::LocalChatModel;
use hyper_util::server::graceful::GracefulShutdown;

use crate::api::{App, Serving, now, router};
use crate::connections::accept;
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::rewards::{RewardServed, Rewards};
use crate::{Error, Result, ServeConfig};

/// How often it is looked whether the server is to end.
const LOOK_UP: Duration = Duration::from_millis(20);

/// How long connections are waited for when all answers are written.
const GRACE: Duration = Duration::from_secs(2);

/// Threads that read requests and write answers; those that compute are others.
const THREADS: usize = 2;

/// What is served.
#[derive(Debug)]
pub enum Served {
    /// A language model.
    Chat(Box<LocalChatModel>),
    /// A reward model.
    Reward(Box<RewardServed>),
}

/// A model that is served, by the endpoints of its kind.
///
/// To serve it from a program of one's own, take [`router`](Self::router); [`Server`] does that, and ends in order.
pub struct Service {
    app: Arc<App>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service")
            .field("config", &self.app.config)
            .finish_non_exhaustive()
    }
}

impl Service {
    /// Starts the thread of the model. Once `ending` is set, requests that wait and new ones are refused, and those that have begun
    /// are answered.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right, or the system gives no thread.
    pub fn start(served: Served, config: ServeConfig, ending: Arc<AtomicBool>) -> Result<Self> {
        config.check()?;
        let metrics = Arc::new(Metrics::new());
        let problem = |source| Error::Start { source };
        let serving = match served {
            Served::Chat(model) => {
                let model: Arc<LocalChatModel> = model.into();
                let engine = Engine::start(
                    model.clone(),
                    metrics.clone(),
                    config.max_waiting,
                    ending.clone(),
                );
                Serving::Chat {
                    model,
                    engine: engine.map_err(problem)?,
                }
            }
            Served::Reward(served) => {
                let rewards = Rewards::start(*served, metrics.clone(), config.max_waiting);
                Serving::Reward(Box::new(rewards.map_err(problem)?))
            }
        };
        Ok(Self {
            app: Arc::new(App {
                config,
                serving,
                metrics,
                ending,
                started: now(),
                next_id: AtomicU64::new(0),
            }),
        })
    }

    /// The endpoints.
    pub fn router(&self) -> Router {
        router(self.app.clone())
    }

    /// Whether anything is being answered or waits.
    fn is_busy(&self) -> bool {
        let metrics = &self.app.metrics;
        metrics.running.get() > 0 || metrics.waiting.get() > 0
    }
}

/// A place that requests can be sent to.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens at a port of a host, without answering yet. Port 0 takes one that is free.
    ///
    /// # Errors
    ///
    /// When the host is no address of this machine, or the port is in use or not allowed.
    ///
    /// ```
    /// use eurus_serve::Server;
    ///
    /// let server = Server::bind("127.0.0.1", 0)?;
    /// let port = server.address().port();
    /// let error = Server::bind("127.0.0.1", port).unwrap_err();
    /// assert!(error.to_string().contains("in use"));
    /// # Ok::<(), eurus_serve::Error>(())
    /// ```
    pub fn bind(host: &str, port: u16) -> Result<Self> {
        let no_host = |source| Error::Host {
            host: host.to_owned(),
            source,
        };
        let bare = host.trim_matches(['[', ']']);
        let addresses = (bare, port).to_socket_addrs().map_err(no_host)?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let listening = TcpListener::bind(&*addresses).and_then(|listener| {
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address })
        });
        listening.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => Error::PortInUse {
                host: host.to_owned(),
                port,
            },
            std::io::ErrorKind::AddrNotAvailable => no_host(source),
            _ => Error::Listen {
                host: host.to_owned(),
                port,
                source,
            },
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `ending` is set and those that have begun are answered. Returns then.
    ///
    /// # Errors
    ///
    /// When a setting cannot be right, or the system gives no thread.
    pub fn run(self, served: Served, config: ServeConfig, ending: Arc<AtomicBool>) -> Result<()> {
        let service = Service::start(served, config, ending.clone())?;
        let problem = |source| Error::Start { source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("eurus-http")
            .enable_all()
            .build()
            .map_err(problem)?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(self.listener).map_err(problem)?;
            let graceful = GracefulShutdown::new();
            let (router, seconds) = (service.router(), service.app.config.max_request_seconds);
            let accepting = accept(&listener, &router, &graceful, seconds);
            until(accepting, set(ending)).await;
            drop(listener);
            while service.is_busy() {
                tokio::time::sleep(LOOK_UP).await;
            }
            // What was answered is still to be written; a connection that is half open is not waited for.
            let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
            Ok(())
        })
    }
}

/// Does something until something else is done.
async fn until(work: impl Future<Output = ()>, done: impl Future<Output = ()>) {
    let (mut work, mut done) = (pin!(work), pin!(done));
    std::future::poll_fn(|context| {
        let _ = work.as_mut().poll(context);
        done.as_mut().poll(context)
    })
    .await;
}

/// Waits until it is set.
async fn set(flag: Arc<AtomicBool>) {
    while !flag.load(Ordering::Relaxed) {
        tokio::time::sleep(LOOK_UP).await;
    }
}
