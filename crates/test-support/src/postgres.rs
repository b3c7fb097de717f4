//! A PostgreSQL server of the tests' own.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use crate::skip;

/// A PostgreSQL server on a socket in a temporary folder, stopped when it is dropped.
///
/// Its files are not synchronized: it is as good as any against programs that are killed, and not against a power failure.
pub struct PostgresServer {
    /// Where Debian has `initdb` and `pg_ctl`.
    programs: PathBuf,
    folder: tempfile::TempDir,
    /// The user and group that the server runs as, if not those of the tests: it refuses to run as root.
    owner: Option<(u32, u32)>,
    databases: AtomicUsize,
}

impl PostgresServer {
    /// The server of this program: started for the first test that asks, stopped when no test has it any more.
    ///
    /// `None`, said on standard error, when PostgreSQL is not installed.
    ///
    /// # Panics
    ///
    /// When it is installed and does not start.
    pub fn shared() -> Option<Arc<Self>> {
        static SERVER: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());
        let mut server = SERVER
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(server) = server.upgrade() {
            return Some(server);
        }
        let started = Arc::new(Self::start()?);
        *server = Arc::downgrade(&started);
        Some(started)
    }

    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip("no PostgreSQL server; install Debian's package postgresql to run this test");
            return None;
        };
        let owner = match is_root() {
            false => None,
            true => {
                let user = user("postgres");
                if user.is_none() {
                    skip("no user `postgres`, and a PostgreSQL server refuses to run as root");
                    return None;
                }
                user
            }
        };
        let folder = tempfile::Builder::new()
            .prefix("eurus-postgres-")
            .tempdir()
            .expect("a temporary folder can be made");
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))
                .expect("root may give a folder away");
        }
        let server = Self {
            programs,
            folder,
            owner,
            databases: AtomicUsize::new(0),
        };
        server.run(
            "initdb",
            &[
                "-D",
                "data",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
            ],
        );
        let options = format!(
            "-k {} -c listen_addresses= -c fsync=off -c max_connections=200",
            server.folder.path().display()
        );
        server.run(
            "pg_ctl",
            &[
                "start",
                "-w",
                "-D",
                "data",
                "-l",
                "server.log",
                "-o",
                &options,
            ],
        );
        Some(server)
    }

    /// The address of a new, empty database.
    ///
    /// # Panics
    ///
    /// When it cannot be created.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.path().display().to_string();
        self.run("createdb", &["-h", &folder, "-U", "postgres", &name]);
        let folder = folder.replace('/', "%2F");
        format!("postgres://postgres@{folder}/{name}")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = self.command(program).args(arguments).status();
        let is_done = status.as_ref().is_ok_and(|status| status.success());
        assert!(is_done, "{program}: {status:?}; {}", self.log());
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // A failure leaves a process and a folder behind, and no test wrong.
        let _ = self
            .command("pg_ctl")
            .args(["stop", "-w", "-m", "immediate", "-D", "data"])
            .stderr(Stdio::null())
            .status();
    }
}

/// The newest that is installed.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| {
        let path = version.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let programs = path.join("bin");
        programs
            .join("initdb")
            .is_file()
            .then_some((number, programs))
    });
    programs.max().map(|(_, programs)| programs)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // What this process makes belongs to its user, as does its entry in /proc.
    std::fs::metadata("/proc/self").is_ok_and(|of_process| of_process.uid() == 0)
}

/// The numbers of a user and its group.
fn user(name: &str) -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let numbers = |fields: Vec<&str>| match fields[..] {
        [found, _, user, group, ..] if found == name => {
            Some((user.parse().ok()?, group.parse().ok()?))
        }
        _ => None,
    };
    fields.find_map(numbers)
}
