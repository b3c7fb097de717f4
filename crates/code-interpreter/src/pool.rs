//! Many runs at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::{Error, Execution, Interpreter, Limits, Python, Result, Safeguards, SyntaxError};

/// Several interpreters that share a list of jobs.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use code_interpreter::{Limits, Pool, Python};
///
/// let pool = Pool::start(&Python::find()?, Limits::default(), 2)?;
/// let jobs: Vec<Vec<String>> = (0..10).map(|n| vec![format!("x = {n}"), "x * x".to_string()]).collect();
/// let runs = pool.run_all(&jobs)?;
/// assert_eq!(runs[7][1].output, "49");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pool {
    interpreters: Vec<Mutex<Interpreter>>,
    safeguards: Safeguards,
}

impl Pool {
    /// Starts `size` interpreters. As many as there are cores is a good number for code that computes; more helps code
    /// that sleeps.
    ///
    /// # Errors
    ///
    /// As [`Interpreter::start`]; [`Error::EmptyPool`] for a size of 0.
    pub fn start(python: &Python, limits: Limits, size: usize) -> Result<Self> {
        let interpreters: Vec<Interpreter> = (0..size)
            .map(|_| Interpreter::start(python, limits.clone()))
            .collect::<Result<_>>()?;
        let safeguards = interpreters.first().ok_or(Error::EmptyPool)?.safeguards();
        Ok(Self {
            interpreters: interpreters.into_iter().map(Mutex::new).collect(),
            safeguards,
        })
    }

    /// How many interpreters there are.
    pub fn size(&self) -> usize {
        self.interpreters.len()
    }

    /// The safeguards against the code that are active.
    pub fn safeguards(&self) -> Safeguards {
        self.safeguards
    }

    /// [`Interpreter::run`] for every job: its cells in one fresh process. Answers in the order of `jobs`.
    ///
    /// # Errors
    ///
    /// The first trouble with the machine in the order of the jobs that were tried; the jobs left are not run.
    pub fn run_all(&self, jobs: &[Vec<String>]) -> Result<Vec<Vec<Execution>>> {
        self.map(jobs, |interpreter, cells| interpreter.run(cells))
    }

    /// [`Interpreter::check_syntax`] for every snippet, in order.
    ///
    /// # Errors
    ///
    /// As [`run_all`](Self::run_all).
    pub fn check_syntax_all<S: AsRef<str> + Sync>(
        &self,
        snippets: &[S],
    ) -> Result<Vec<std::result::Result<(), SyntaxError>>> {
        self.map(snippets, |interpreter, code| {
            interpreter.check_syntax(code.as_ref())
        })
    }

    /// Has `work` done for every item by whichever interpreter is free; answers in the order of `items`. After trouble
    /// with the machine (no more processes, a lost driver) it is done once more, by another interpreter if there is one.
    ///
    /// Several threads may call this on one pool.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use code_interpreter::cases::{Case, CaseOptions, run_cases, verdict};
    /// use code_interpreter::{Limits, Pool, Python};
    ///
    /// let pool = Pool::start(&Python::find()?, Limits::default(), 2)?;
    /// let cases = [Case::new("2 3\n", "5\n")];
    /// let programs = ["print(sum(map(int, input().split())))", "print(input())"];
    /// let verdicts = pool.map(&programs, |interpreter, program| {
    ///     Ok(verdict(&run_cases(interpreter, program, &cases, &CaseOptions::default())?))
    /// })?;
    /// assert!(verdicts[0].is_correct());
    /// assert_eq!(verdicts[1].to_string(), "incorrect: case 1: wrong output at line 1: expected `5`, got `2 3`");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`run_all`](Self::run_all).
    pub fn map<T, R, F>(&self, items: &[T], work: F) -> Result<Vec<R>>
    where
        T: Sync,
        R: Send,
        F: Fn(&mut Interpreter, &T) -> Result<R> + Sync,
    {
        let work = &work;
        let others = self.interpreters.iter().cycle().skip(1);
        let workers = self.interpreters.iter().zip(others).map(|(one, other)| {
            // Each locked for one item at a time, and never both, so that callers on other threads take turns.
            move |item: &T| {
                let answer = work(&mut lock(one), item);
                match answer {
                    Err(error) if error.is_trouble() => work(&mut lock(other), item),
                    answer => answer,
                }
            }
        });
        share(items, workers)
    }

    /// [`map`](Self::map) for work that takes two interpreters, as [`asserts::judge`](crate::asserts::judge) does: the first
    /// of a pair is never the second of another. An odd one is left over. Unlike there, nothing is done a second time.
    ///
    /// # Errors
    ///
    /// As [`run_all`](Self::run_all); [`Error::NoPair`] for a pool of one.
    pub fn map_pairs<T, R, F>(&self, items: &[T], work: F) -> Result<Vec<R>>
    where
        T: Sync,
        R: Send,
        F: Fn(&mut Interpreter, &mut Interpreter, &T) -> Result<R> + Sync,
    {
        let work = &work;
        let (pairs, _) = self.interpreters.as_chunks();
        if pairs.is_empty() {
            return Err(Error::NoPair);
        }
        let workers = pairs.iter().map(|[first, second]| {
            // Always the first before the second: two callers cannot wait for each other.
            move |item: &T| work(&mut lock(first), &mut lock(second), item)
        });
        share(items, workers)
    }
}

/// A panic in an earlier piece of work leaves an interpreter whole: it has no state between calls.
fn lock(interpreter: &Mutex<Interpreter>) -> MutexGuard<'_, Interpreter> {
    interpreter.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has every item done by whichever worker is free; answers in the order of `items`, or the first error of those tried.
fn share<T, R, W>(items: &[T], workers: impl Iterator<Item = W>) -> Result<Vec<R>>
where
    T: Sync,
    R: Send,
    W: Fn(&T) -> Result<R> + Send,
{
    // Relaxed will do for both: one hands out positions, the other ends the work early; the mutex guards the
    // answers.
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    thread::scope(|scope| {
        for work in workers.take(items.len()) {
            let (next, failed, done) = (&next, &failed, &done);
            let work_on = move || {
                while !failed.load(Ordering::Relaxed) {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(position) else {
                        return;
                    };
                    let answer = work(item);
                    failed.fetch_or(answer.is_err(), Ordering::Relaxed);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((position, answer));
                }
            };
            let started = thread::Builder::new().spawn_scoped(scope, work_on);
            if let Err(error) = started {
                failed.store(true, Ordering::Relaxed);
                return Err(Error::no_thread("sharing out work", &error));
            }
        }
        Ok(())
    })?;
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(position, _)| *position);
    done.into_iter().map(|(_, answer)| answer).collect()
}
