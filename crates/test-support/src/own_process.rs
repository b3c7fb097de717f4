use std::process::{Command, Stdio};

/// Names, in the environment of a process, the one test that it is for.
const OWN_TEST: &str = "EURUS_TEST_OF_THIS_PROCESS";

/// Runs the rest of a test in a process in which no other test runs: for what belongs to the whole process, as its
/// memory or the seed of a device.
///
/// ```no_run
/// fn loading_takes_little_memory() { // a #[test]
///     test_support::in_own_process(|| {
///         // measure
///     });
/// }
/// ```
///
/// The test program is started once more, for this test alone. Its name is that of the function that `body` is written in,
/// so the closure must stand in the test itself.
///
/// # Panics
///
/// When the test fails in its own process, or is not found there.
pub fn in_own_process(body: impl FnOnce()) {
    let name = test_name(std::any::type_name_of_val(&body));
    if std::env::var_os(OWN_TEST).is_some_and(|own| own == name) {
        return body();
    }
    let program = std::env::current_exe().expect("a test has a program");
    let output = Command::new(program)
        .args([name, "--exact", "--include-ignored", "--nocapture"])
        .env(OWN_TEST, name)
        // What it skips must be seen whether or not it passes.
        .stderr(Stdio::inherit())
        .output()
        .expect("a test program starts");
    let out = String::from_utf8_lossy(&output.stdout);
    #[allow(clippy::print_stdout, reason = "a test's output, for its harness")]
    {
        print!("{out}");
    }
    assert!(
        output.status.success() && out.contains("1 passed"),
        "{name} in its own process: {}",
        output.status
    );
}

/// The path of a test as its harness knows it, from the name of the type of a closure in it:
/// `program::module::test::{{closure}}`.
fn test_name(closure: &str) -> &str {
    let path = closure.split("::{{closure}}").next().unwrap_or(closure);
    path.split_once("::").map_or(path, |(_, test)| test)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn the_body_runs_in_another_process() {
        static RAN: AtomicBool = AtomicBool::new(false);
        in_own_process(|| RAN.store(true, Ordering::Relaxed));
        let here = std::env::var_os(OWN_TEST).is_some();
        assert_eq!(RAN.load(Ordering::Relaxed), here);
    }

    #[test]
    fn a_failure_there_is_a_failure_here() {
        let fails = || in_own_process(|| panic!("as it should"));
        let outcome = std::panic::catch_unwind(fails);
        assert!(outcome.is_err());
        if std::env::var_os(OWN_TEST).is_some() {
            std::panic::resume_unwind(Box::new("failed in its own process"));
        }
    }

    #[test]
    fn a_closure_outside_a_test_is_not_taken_for_one_that_passed() {
        fn not_a_test() {
            in_own_process(|| {});
        }
        let outcome = std::panic::catch_unwind(not_a_test);
        assert!(outcome.is_err());
    }
}
