//! The worker: claims jobs, builds their trees at the same time, ends each.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Recorded;
use super::fate::{Fate, fate};
use super::leases::Leases;
use super::recorded::Trouble;
use crate::store::{Claim, Store};
use crate::{Error, Event, Grown, Problem, Result, SynthStats, TreeBuilder};

/// A job whose lease ran out this often kills its workers.
const MOST_LOST: u64 = 5;

/// When so many jobs are parked before any is done, the run ends: it is no matter of single problems.
const MOST_PARKED_AT_FIRST: usize = 20;

/// The longest that the end of the run, or a job that has come due, goes unnoticed.
const POLL: Duration = Duration::from_millis(200);

/// How a worker goes about it.
pub struct RunOptions<'a> {
    /// Its name, which no other worker of the store has.
    pub worker: String,
    /// For how long a job is its own without a sign of life. Default one minute.
    pub lease: Duration,
    /// The most jobs to take. Default all.
    pub limit: Option<usize>,
    /// Ends the run when it becomes true; what is under way is given back, and what was answered is kept.
    pub stop: Option<&'a AtomicBool>,
    /// How long a tree waits after its first failure for a passing reason; the wait doubles each time. Default 15 seconds.
    pub first_delay: Duration,
    /// Goes into the [account](Account) of every tree: what it was made under.
    pub stamp: Value,
    /// The models whose trouble with the store ends the run.
    recorded: Vec<&'a dyn Trouble>,
}

impl<'a> RunOptions<'a> {
    /// The defaults, for a worker of this name.
    pub fn new(worker: impl Into<String>) -> Self {
        Self {
            worker: worker.into(),
            lease: Duration::from_secs(60),
            limit: None,
            stop: None,
            first_delay: Duration::from_secs(15),
            stamp: Value::Null,
            recorded: Vec::new(),
        }
    }

    /// Ends the run when this model cannot use its store.
    #[must_use]
    pub fn watching<M: chat_model::ChatModel>(mut self, model: &'a Recorded<'_, M>) -> Self {
        self.recorded.push(model);
        self
    }
}

/// How a tree came about; it is stored beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Counts by turn.
    pub stats: SynthStats,
    /// What it was made under, as [`RunOptions::stamp`] says.
    pub stamp: Value,
}

/// The account of all trees of a store.
///
/// # Errors
///
/// When the store cannot be read, or holds what [`run`] never wrote.
pub fn stats(store: &Store) -> Result<SynthStats> {
    let mut sum = SynthStats::default();
    store.for_each_account(|account| {
        let account: Account = serde_json::from_str(account).map_err(|error| Error::Other {
            who: "an account in the store".into(),
            message: error.to_string(),
        })?;
        sum += &account.stats;
        Ok(())
    })?;
    Ok(sum)
}

/// What a worker has done.
#[derive(Debug)]
pub struct Report {
    /// Jobs that it finished.
    pub finished: usize,
    /// Times that it put a job off.
    pub put_off: usize,
    /// Jobs that it parked.
    pub parked: usize,
    /// Jobs that another worker took over.
    pub lost: usize,
    /// The account of the trees that it finished.
    pub stats: SynthStats,
    /// Why it ended.
    pub ended: Ended,
}

/// Why a run ended.
#[derive(Debug)]
pub enum Ended {
    /// No job is left that is not done or parked, or the limit is reached.
    Done,
    /// It was told to.
    Stopped,
    /// The budget has no room for another call: the error of the one that was not made.
    BudgetSpent(Error),
}

/// Takes jobs of a store and builds their trees, [`trees_in_flight`](crate::SynthConfig::trees_in_flight) at the same time,
/// until none is left.
///
/// A tree whose model or interpreter fails for a passing reason is put off and tried again, each time after twice the time;
/// after ten times (of the interpreter, three), or for a reason of its own that lasts, it is parked. What its models had
/// answered is in the store if they are [`Recorded`], so the next try goes on where this one failed.
///
/// # Errors
///
/// When the store fails, when a model cannot be asked at all (its key, its name, its address, its quota), when a template cannot
/// be filled in, when a model or the environment does not give as many answers as it was asked for, or when nothing but
/// failures came of the first jobs. Jobs under way are given back.
pub fn run(
    builder: &TreeBuilder<'_>,
    store: &Store,
    options: &RunOptions<'_>,
    observer: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Report> {
    let (to_threads, jobs) = mpsc::channel();
    let (done, from_threads) = mpsc::channel();
    let jobs = Mutex::new(jobs);
    let threads = builder.config().trees_in_flight;
    let leases = Leases::new(options.lease);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (jobs, done, leases) = (&jobs, done.clone(), &leases);
            scope.spawn(move || build_all(builder, jobs, leases, &done, observer));
        }
        drop(done);
        Worker {
            store,
            options,
            observer,
            threads,
            leases: &leases,
            active: BTreeMap::new(),
            taken: 0,
            ending: None,
            renewed: Instant::now(),
            report: Report {
                finished: 0,
                put_off: 0,
                parked: 0,
                lost: 0,
                stats: SynthStats::default(),
                ended: Ended::Done,
            },
        }
        .work(to_threads, &from_threads)
    })
}

type Outcome = (Claim, Result<Grown>);

/// A thread: builds trees as long as there are jobs.
fn build_all(
    builder: &TreeBuilder<'_>,
    jobs: &Mutex<Receiver<Claim>>,
    leases: &Leases,
    done: &Sender<Outcome>,
    observer: &(dyn Fn(Event<'_>) + Sync),
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(claim) = job else {
            return;
        };
        let check = || leases.check(&claim);
        let grown = problem(&claim).and_then(|it| builder.grow_while(&it, observer, &check));
        if done.send((claim, grown)).is_err() {
            return;
        }
    }
}

fn problem(claim: &Claim) -> Result<Problem> {
    serde_json::from_str(&claim.problem).map_err(|error| Error::Other {
        who: format!("the store's problem `{}`", claim.id),
        message: error.to_string(),
    })
}

/// Why no more jobs are taken.
enum Ending {
    Stopped,
    BudgetSpent(Error),
    Failed(Error),
}

/// The thread that keeps the accounts.
struct Worker<'w> {
    store: &'w Store,
    options: &'w RunOptions<'w>,
    observer: &'w (dyn Fn(Event<'_>) + Sync),
    threads: usize,
    leases: &'w Leases,
    active: BTreeMap<String, Claim>,
    taken: usize,
    ending: Option<Ending>,
    renewed: Instant,
    report: Report,
}

impl Worker<'_> {
    fn work(
        mut self,
        to_threads: Sender<Claim>,
        from_threads: &Receiver<Outcome>,
    ) -> Result<Report> {
        loop {
            if let Err(error) = self.step(&to_threads, from_threads) {
                self.leases.end();
                self.ending.get_or_insert(Ending::Failed(error));
            }
            if self.active.is_empty() && (self.ending.is_some() || self.is_done()) {
                break;
            }
        }
        match self.ending {
            None => {}
            Some(Ending::Stopped) => self.report.ended = Ended::Stopped,
            Some(Ending::BudgetSpent(error)) => self.report.ended = Ended::BudgetSpent(error),
            Some(Ending::Failed(error)) => return Err(error),
        }
        Ok(self.report)
    }

    /// Whether there is nothing to wait for. An error is met again by the next step.
    fn is_done(&self) -> bool {
        self.room() == 0 || matches!(self.store.next_due(), Ok(None))
    }

    /// How many jobs may still be taken.
    fn room(&self) -> usize {
        let limit = self.options.limit.unwrap_or(usize::MAX);
        limit.saturating_sub(self.taken)
    }

    fn step(&mut self, to_threads: &Sender<Claim>, from_threads: &Receiver<Outcome>) -> Result<()> {
        let is_stopped = self
            .options
            .stop
            .is_some_and(|stop| stop.load(Ordering::Relaxed));
        if is_stopped {
            self.ending.get_or_insert(Ending::Stopped);
        }
        if self.ending.is_none() {
            self.take_jobs(to_threads)?;
        }
        match from_threads.recv_timeout(POLL) {
            Ok((claim, grown)) => {
                // Whatever becomes of it, it is no longer under way.
                self.active.remove(&claim.id);
                self.leases.forget(&claim.id);
                self.end(&claim, grown)?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            // All threads are gone, which they are not as long as `to_threads` lives.
            Err(RecvTimeoutError::Disconnected) => self.active.clear(),
        }
        if self.renewed.elapsed() > self.options.lease / 3 {
            self.renew()?;
        }
        Ok(())
    }

    /// Extends the leases, and ends the trees of those that are lost.
    fn renew(&mut self) -> Result<()> {
        let claims: Vec<&Claim> = self.active.values().collect();
        let renewed = Instant::now();
        let lost = self.store.renew(&claims, self.options.lease)?;
        self.renewed = renewed;
        self.leases.renewed(renewed, lost);
        Ok(())
    }

    fn take_jobs(&mut self, to_threads: &Sender<Claim>) -> Result<()> {
        let free = self
            .threads
            .saturating_sub(self.active.len())
            .min(self.room());
        if free == 0 {
            return Ok(());
        }
        for claim in self
            .store
            .claim(&self.options.worker, self.options.lease, free)?
        {
            if claim.lost >= MOST_LOST {
                let message = format!("its worker died {} times", claim.lost);
                self.store.park(&claim, "kills its workers", &message)?;
                self.report.parked += 1;
                continue;
            }
            self.taken += 1;
            self.active.insert(claim.id.clone(), claim.clone());
            // It fails only if all threads are gone.
            let _ = to_threads.send(claim);
        }
        Ok(())
    }

    /// Ends a job as it came out.
    fn end(&mut self, claim: &Claim, grown: Result<Grown>) -> Result<()> {
        if let Some(trouble) = self.options.recorded.iter().find_map(|model| model.take()) {
            self.ending.get_or_insert(Ending::Failed(trouble));
        }
        let kept = match grown {
            Ok(grown) => self.finish(claim, &grown)?,
            Err(error) => self.fail(claim, error)?,
        };
        self.report.lost += usize::from(!kept);
        Ok(())
    }

    fn finish(&mut self, claim: &Claim, grown: &Grown) -> Result<bool> {
        let account = Account {
            stats: grown.stats.clone(),
            stamp: self.options.stamp.clone(),
        };
        let kept = self
            .store
            .finish(claim, &json(&grown.tree)?, &json(&account)?)?;
        if kept {
            self.report.finished += 1;
            self.report.stats += &grown.stats;
        }
        Ok(kept)
    }

    fn fail(&mut self, claim: &Claim, error: Error) -> Result<bool> {
        let is_ending = matches!(self.ending, Some(Ending::Failed(_)));
        match fate(&error, claim.attempts, self.options.first_delay) {
            _ if is_ending => self.store.release(claim),
            Fate::Released => self.store.release(claim),
            Fate::RunEnds => {
                let kept = self.store.release(claim);
                self.ending.get_or_insert(Ending::Failed(error));
                kept
            }
            Fate::BudgetSpent => {
                let kept = self.store.release(claim);
                self.ending.get_or_insert(Ending::BudgetSpent(error));
                kept
            }
            Fate::PutOff { after, reason } => {
                self.report.put_off += 1;
                self.store
                    .reschedule(claim, after, reason, &error.to_string())
            }
            Fate::Parked { reason } => {
                (self.observer)(Event::ProblemFailed {
                    problem: &claim.id,
                    error: &error,
                });
                let kept = self.store.park(claim, reason, &error.to_string());
                self.report.parked += 1;
                if self.report.finished == 0 && self.report.parked >= MOST_PARKED_AT_FIRST {
                    self.ending.get_or_insert(Ending::Failed(error));
                }
                kept
            }
        }
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Other {
        who: "a tree".into(),
        message: format!("cannot be written as JSON: {error}"),
    })
}
