//! Work that several threads share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::Result;

/// Does every piece of work on so many threads, each with something of its own; the first error ends its thread, and comes back
/// when all have ended.
pub(crate) fn on_threads<T: Sync, W>(
    count: usize,
    work: &[T],
    start: impl Fn() -> Result<W> + Sync,
    run: impl Fn(&mut W, &T) -> Result<()> + Sync,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        let mut own = start()?;
        while let Some(piece) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(&mut own, piece)?;
        }
        Ok(())
    };
    let count = count.clamp(1, work.len().max(1));
    let ended: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    ended.into_iter().collect()
}
