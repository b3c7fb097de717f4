//! Several processes on one store, killed and stopped.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::RngExt;
use rustix::process::{Pid, Signal, kill_process};
use ultrainteract_synth::store::{Answer, AnswerKey, Claim, Store};

use super::{Database, LONG, begin, ids, on_each_database};

const JOBS: usize = 24;
const SAMPLES: u32 = 5;
const LEASE: Duration = Duration::from_millis(500);
const COST: u64 = 100;

/// Names the store, in the environment of a process that a test starts for itself.
const PLACE: &str = "EURUS_TEST_STORE";
/// Its name as a worker.
const WORKER: &str = "EURUS_TEST_WORKER";

/// A process that is ended with its test.
struct Worker(Child);

impl Worker {
    /// Starts this test once more, as a worker, in the folder of the test's files.
    fn start(test: &str, place: &str, folder: &Path, name: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact"])
            .env(PLACE, place)
            .env(WORKER, name)
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn ends_well(&mut self) {
        until("a worker ends", || self.0.try_wait().unwrap().is_some());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The store and the name of this process, if it is a worker of a test.
fn role() -> Option<(Store, String)> {
    let place = std::env::var(PLACE).ok()?;
    Some((Store::open(&place).unwrap(), std::env::var(WORKER).unwrap()))
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "waited too long until {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Appends a line in one write: what a killed process has written stays.
fn log(file: &str, line: &str) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

fn lines(folder: &Path, file: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    text.lines()
        .map(|line| line.split(' ').map(str::to_owned).collect())
        .collect()
}

fn key(job: &str) -> AnswerKey {
    AnswerKey::new("small", job.as_bytes())
}

/// A worker as construction will be: what is answered is asked for once, a tree is made of answers alone.
fn work(store: &Store, name: &str) {
    loop {
        let claims = store.claim(name, LEASE, 2).unwrap();
        for (index, claim) in claims.iter().enumerate() {
            log("claims", &format!("{} {}", claim.id, claim.lost));
            let rest: Vec<&Claim> = claims[index..].iter().collect();
            if !ask(store, name, claim, &rest) {
                continue;
            }
            let answers = store.answers(&key(&claim.id)).unwrap();
            let tree: Vec<&str> = answers
                .values()
                .map(|answer| answer.completion.as_str())
                .collect();
            let tree = tree.join(",");
            if store.finish(claim, &tree, "{}").unwrap() {
                log("finished", &format!("{} {tree}", claim.id));
            }
        }
        if claims.is_empty() {
            match store.next_due().unwrap() {
                None => return,
                Some(due) => std::thread::sleep(due.min(Duration::from_millis(20))),
            }
        }
    }
}

/// Asks for the samples that are not there; `false` when another worker has the job.
fn ask(store: &Store, name: &str, claim: &Claim, held: &[&Claim]) -> bool {
    let key = key(&claim.id);
    for sample in 0..SAMPLES {
        if store.renew(held, LEASE).unwrap().contains(&claim.id) {
            return false;
        }
        if store.answers(&key).unwrap().contains_key(&sample) {
            continue;
        }
        let reserved = store.reserve(name, COST, None).unwrap().unwrap();
        log("requests", &format!("{} {sample}", claim.id));
        std::thread::sleep(Duration::from_millis(2));
        let text = format!("{name}-{}", rand::random::<u32>());
        let answer = Answer {
            cost_micros: COST,
            ..Answer::new(&text, "small")
        };
        if store.settle(reserved, &key, &[(sample, answer)]).unwrap() == 1 {
            log("answers", &format!("{} {sample} {text}", claim.id));
        }
    }
    true
}

fn kills(database: &Database, workers: usize, test: &str) {
    let (folder, place) = (tempfile::tempdir().unwrap(), database.place());
    let store = Store::open(&place).unwrap();
    begin(&store, JOBS);
    let kills = test_support::count("EURUS_KILLS", 4);
    let start = |number: usize| Worker::start(test, &place, folder.path(), &format!("w{number}"));
    let mut running: Vec<Worker> = (0..workers).map(start).collect();
    let mut random = rand::rng();
    for kill in 0..kills {
        std::thread::sleep(Duration::from_millis(random.random_range(5..150)));
        let killed = random.random_range(0..workers);
        running[killed].kill();
        running[killed] = start(workers + kill);
    }
    running.iter_mut().for_each(Worker::ends_well);

    // No job is lost, none finished twice, and each tree is what its worker wrote.
    let status = store.status().unwrap();
    assert_eq!(status.jobs.done, JOBS as u64, "{status:?}");
    let trees: BTreeMap<String, String> = store
        .trees()
        .map(Result::unwrap)
        .map(|tree| (tree.id, tree.tree))
        .collect();
    assert_eq!(trees.len(), JOBS);
    let mut finished = BTreeMap::new();
    for line in lines(folder.path(), "finished") {
        assert_eq!(trees.get(&line[0]), Some(&line[1]));
        assert_eq!(
            finished.insert(line[0].clone(), ()),
            None,
            "{} was finished twice",
            line[0]
        );
    }
    // One that was killed between the commit and its line.
    assert!(finished.len() + kills >= JOBS);

    // No answer is lost that a worker knew to be committed.
    let answers = lines(folder.path(), "answers");
    assert!(answers.len() + kills >= JOBS * SAMPLES as usize);
    for line in answers {
        let stored = store.answers(&key(&line[0])).unwrap();
        assert_eq!(stored[&line[1].parse().unwrap()].completion, line[2]);
    }
    assert_eq!(status.answers, JOBS as u64 * u64::from(SAMPLES));

    // A request is repeated only when a lease was lost while it was in flight.
    let mut lost = BTreeMap::new();
    for line in lines(folder.path(), "claims") {
        let count: usize = line[1].parse().unwrap();
        let most = lost.entry(line[0].clone()).or_insert(0);
        *most = count.max(*most);
    }
    let lost: usize = lost.values().sum();
    let requests = lines(folder.path(), "requests").len();
    let repeated = requests - JOBS * SAMPLES as usize;
    assert!(
        repeated <= lost,
        "{repeated} of {requests} requests were repeated, {lost} leases were lost"
    );

    // What was in flight at a kill still counts.
    let unsettled = status.reserved_micros / COST;
    assert!(unsettled <= kills as u64, "{status:?}");
    assert_eq!(status.spent_micros, COST * (status.endpoints[0].requests));
    assert!((requests as u64) <= status.endpoints[0].requests + unsettled);
}

#[test]
fn workers_killed_at_random_moments_lose_nothing_and_finish_nothing_twice() {
    if let Some((store, name)) = role() {
        return work(&store, &name);
    }
    kills(
        &Database::file(),
        2,
        "store::processes::workers_killed_at_random_moments_lose_nothing_and_finish_nothing_twice",
    );
}

#[cfg(feature = "postgres")]
#[test]
fn workers_of_a_server_killed_at_random_moments_lose_nothing_and_finish_nothing_twice() {
    if let Some((store, name)) = role() {
        return work(&store, &name);
    }
    if let Some(server) = test_support::PostgresServer::shared() {
        kills(
            &Database::Server(server),
            3,
            "store::processes::workers_of_a_server_killed_at_random_moments_lose_nothing_and_finish_nothing_twice",
        );
    }
}

#[test]
fn a_worker_that_was_stopped_beyond_its_lease_cannot_finish() {
    if let Some((store, name)) = role() {
        let claims = store.claim(&name, Duration::from_millis(200), 1).unwrap();
        log("claimed", &claims[0].id);
        until("the test lets it go on", || Path::new("go").exists());
        let is_finished = store.finish(&claims[0], "\"late\"", "{}").unwrap();
        log("result", &is_finished.to_string());
        return;
    }
    on_each_database(|database| {
        let (folder, place) = (tempfile::tempdir().unwrap(), database.place());
        let store = Store::open(&place).unwrap();
        begin(&store, 1);
        let mut worker = Worker::start(
            "store::processes::a_worker_that_was_stopped_beyond_its_lease_cannot_finish",
            &place,
            folder.path(),
            "stopped",
        );
        until("the worker has the job", || {
            !lines(folder.path(), "claimed").is_empty()
        });
        worker.send(Signal::STOP);
        let mut claims = Vec::new();
        until("its lease is over", || {
            claims = store.claim("other", LONG, 1).unwrap();
            !claims.is_empty()
        });
        assert_eq!((ids(&claims), claims[0].lost), (vec!["p0"], 1));
        std::fs::write(folder.path().join("go"), "").unwrap();
        worker.send(Signal::CONT);
        worker.ends_well();
        assert_eq!(lines(folder.path(), "result"), [["false"]]);
        assert!(store.finish(&claims[0], "\"in time\"", "{}").unwrap());
        assert_eq!(store.finished("p0").unwrap().unwrap().tree, "\"in time\"");
    });
}
