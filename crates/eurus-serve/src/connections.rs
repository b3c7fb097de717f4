//! Connections: each is served for itself, and none holds another up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Connections at once; more wait until one is closed.
const MOST: usize = 512;

/// How long nothing is accepted when the system has no room for another connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until the future is dropped, and answers their requests. A connection on which no request comes, or none to
/// its end, is closed after so many seconds.
pub async fn accept(
    listener: &TcpListener,
    router: &Router,
    graceful: &GracefulShutdown,
    seconds: u64,
) {
    let room = Arc::new(Semaphore::new(MOST));
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(seconds.max(1)));
    loop {
        // The semaphore is never closed.
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Small pieces of a stream are not held back; where that cannot be said they come later.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            // A client that breaks off is no fault of the server.
            let _ = connection.await;
            drop(place);
        });
    }
}
