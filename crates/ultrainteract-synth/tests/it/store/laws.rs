//! What holds of jobs after any sequence of calls, against a model in memory.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use ultrainteract_synth::store::{Claim, JobCounts, Retry, Store};

use super::{Database, LONG, begin};

const JOBS: usize = 4;

/// A lease or a delay that is over at once, or never in a test.
fn time(is_long: bool) -> Duration {
    match is_long {
        true => LONG,
        false => Duration::ZERO,
    }
}

/// A call; claims are chosen among all that were ever given out, so most are lost.
#[derive(Debug, Clone)]
enum Call {
    Claim {
        is_long: bool,
        limit: usize,
    },
    Renew {
        claims: Vec<prop::sample::Index>,
        is_long: bool,
    },
    Finish(prop::sample::Index),
    Reschedule {
        claim: prop::sample::Index,
        is_long: bool,
    },
    Release(prop::sample::Index),
    Park {
        claim: prop::sample::Index,
        reason: &'static str,
    },
    Retry(Option<&'static str>),
    Reopen,
}

fn call() -> impl Strategy<Value = Call> {
    let claim = any::<prop::sample::Index>;
    let reason = || prop::sample::select(vec!["a", "b"]);
    prop_oneof![
        6 => (any::<bool>(), 0..4_usize).prop_map(|(is_long, limit)| Call::Claim { is_long, limit }),
        2 => (prop::collection::vec(claim(), 0..3), any::<bool>())
            .prop_map(|(claims, is_long)| Call::Renew { claims, is_long }),
        3 => claim().prop_map(Call::Finish),
        2 => (claim(), any::<bool>()).prop_map(|(claim, is_long)| Call::Reschedule { claim, is_long }),
        1 => claim().prop_map(Call::Release),
        2 => (claim(), reason()).prop_map(|(claim, reason)| Call::Park { claim, reason }),
        1 => prop::option::of(reason()).prop_map(Call::Retry),
        1 => Just(Call::Reopen),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting { is_due: bool },
    Leased { is_due: bool },
    Parked(&'static str),
    Done,
}

#[derive(Debug, Clone, Copy)]
struct ModelJob {
    state: State,
    token: u64,
    attempts: u64,
    lost: u64,
}

/// What the store should do, in the plainest form.
struct Model([ModelJob; JOBS]);

impl Model {
    fn claim(&mut self, is_long: bool, limit: usize) -> Vec<(u64, u64, u64, u64)> {
        let mut claimed = Vec::new();
        for (position, job) in (0..).zip(&mut self.0) {
            let (State::Waiting { is_due: true } | State::Leased { is_due: true }) = job.state
            else {
                continue;
            };
            if claimed.len() == limit {
                break;
            }
            job.lost += u64::from(job.state != State::Waiting { is_due: true });
            job.token += 1;
            job.state = State::Leased { is_due: !is_long };
            claimed.push((position, job.token, job.attempts, job.lost));
        }
        claimed
    }

    /// The job of a claim, if the claim still holds it.
    fn held(&mut self, claim: &Claim) -> Option<&mut ModelJob> {
        let job = &mut self.0[claim.position as usize];
        (matches!(job.state, State::Leased { .. }) && job.token == claim.token).then_some(job)
    }

    fn end(&mut self, claim: &Claim, state: State) -> bool {
        self.held(claim).map(|job| job.state = state).is_some()
    }

    fn counts(&self) -> JobCounts {
        let mut counts = JobCounts::default();
        for job in &self.0 {
            *match job.state {
                State::Waiting { is_due: true } => &mut counts.waiting,
                State::Waiting { is_due: false } => &mut counts.delayed,
                State::Leased { is_due: true } => &mut counts.expired,
                State::Leased { is_due: false } => &mut counts.leased,
                State::Parked(_) => &mut counts.parked,
                State::Done => &mut counts.done,
            } += 1;
        }
        counts
    }
}

fn check(database: &Database, calls: &[Call]) -> Result<(), TestCaseError> {
    let place = database.place();
    let mut store = Store::open(&place).unwrap();
    begin(&store, JOBS);
    let mut model = Model(
        [ModelJob {
            state: State::Waiting { is_due: true },
            token: 0,
            attempts: 0,
            lost: 0,
        }; JOBS],
    );
    let mut claims: Vec<Claim> = Vec::new();
    let mut trees = BTreeMap::new();
    for call in calls {
        let pick =
            |index: &prop::sample::Index| (!claims.is_empty()).then(|| index.get(&claims).clone());
        match call {
            Call::Claim { is_long, limit } => {
                let given = store.claim("w", time(*is_long), *limit).unwrap();
                let seen: Vec<_> = given
                    .iter()
                    .map(|claim| (claim.position, claim.token, claim.attempts, claim.lost))
                    .collect();
                prop_assert_eq!(seen, model.claim(*is_long, *limit));
                claims.extend(given);
            }
            Call::Renew {
                claims: chosen,
                is_long,
            } => {
                let chosen: Vec<Claim> = chosen.iter().filter_map(pick).collect();
                let mut lost = Vec::new();
                for claim in &chosen {
                    match model.held(claim) {
                        Some(job) => job.state = State::Leased { is_due: !is_long },
                        None => lost.push(claim.id.clone()),
                    }
                }
                prop_assert_eq!(
                    store
                        .renew(&chosen.iter().collect::<Vec<_>>(), time(*is_long))
                        .unwrap(),
                    lost
                );
            }
            Call::Finish(index) => {
                if let Some(claim) = pick(index) {
                    let tree = format!("{}", claim.token);
                    let is_held = model.end(&claim, State::Done);
                    prop_assert_eq!(store.finish(&claim, &tree, "{}").unwrap(), is_held);
                    if is_held {
                        prop_assert_eq!(trees.insert(claim.position, tree), None);
                    }
                }
            }
            Call::Reschedule { claim, is_long } => {
                if let Some(claim) = pick(claim) {
                    let is_held = model.end(&claim, State::Waiting { is_due: !is_long });
                    model.0[claim.position as usize].attempts += u64::from(is_held);
                    prop_assert_eq!(
                        store.reschedule(&claim, time(*is_long), "r", "m").unwrap(),
                        is_held
                    );
                }
            }
            Call::Release(index) => {
                if let Some(claim) = pick(index) {
                    let is_held = model.end(&claim, State::Waiting { is_due: true });
                    prop_assert_eq!(store.release(&claim).unwrap(), is_held);
                }
            }
            Call::Park { claim, reason } => {
                if let Some(claim) = pick(claim) {
                    let is_held = model.end(&claim, State::Parked(reason));
                    prop_assert_eq!(store.park(&claim, reason, "m").unwrap(), is_held);
                }
            }
            Call::Retry(reason) => {
                let mut retried = 0;
                for job in &mut model.0 {
                    if matches!(job.state, State::Parked(parked) if reason.is_none_or(|reason| reason == parked))
                    {
                        (job.state, job.attempts) = (State::Waiting { is_due: true }, 0);
                        retried += 1;
                    }
                }
                let which = reason.map_or(Retry::All, Retry::Reason);
                prop_assert_eq!(store.retry(which).unwrap(), retried);
            }
            Call::Reopen => {
                drop(store);
                store = Store::open(&place).unwrap();
            }
        }
        let counts = model.counts();
        prop_assert_eq!(store.status().unwrap().jobs, counts);
        let due = store.next_due().unwrap();
        match (
            counts.waiting + counts.expired,
            counts.delayed + counts.leased,
        ) {
            (0, 0) => prop_assert_eq!(due, None),
            (0, _) => prop_assert!(due > Some(LONG / 2)),
            _ => prop_assert_eq!(due, Some(Duration::ZERO)),
        }
    }
    let stored: BTreeMap<u64, String> = store
        .trees()
        .map(|tree| tree.unwrap())
        .map(|tree| (tree.position, tree.tree))
        .collect();
    prop_assert_eq!(stored, trees);
    Ok(())
}

fn holds(database: &Database, cases: usize) {
    let cases = test_support::count("PROPTEST_CASES", cases) as u32;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases,
        ..ProptestConfig::default()
    });
    let calls = prop::collection::vec(call(), 1..40);
    runner.run(&calls, |calls| check(database, &calls)).unwrap();
}

#[test]
fn after_any_calls_no_job_is_lost_none_ends_twice_and_tokens_grow() {
    holds(&Database::file(), 32);
}

#[cfg(feature = "postgres")]
#[test]
fn after_any_calls_the_same_holds_of_a_server() {
    if let Some(server) = test_support::PostgresServer::shared() {
        holds(&Database::Server(server), 12);
    }
}
