//! What cannot be a store is refused with its place and what to do.

use std::path::Path;
use std::process::Command;

use ultrainteract_synth::store::{Answer, AnswerKey, Store};

use super::begin;

fn refused(place: &str) -> String {
    Store::open(place).unwrap_err().to_string()
}

#[test]
fn what_is_no_place_of_a_store_is_refused() {
    for (place, expected) in [
        ("", "give a path"),
        (":memory:", "must be a file"),
        ("mysql://u:secret@host/db", "`mysql://` is no kind of store"),
        #[cfg(feature = "postgres")]
        (
            "postgres://u:secret@host:port/db",
            "the address is no postgres://",
        ),
    ] {
        let message = refused(place);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn a_folder_a_missing_folder_and_another_file_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let message = refused(&path("missing/run.db"));
    assert!(
        message.contains("missing/run.db: there is no folder"),
        "{message}"
    );
    assert!(message.contains("create the folder"), "{message}");
    let message = refused(&path(""));
    assert!(
        message.contains("it is a folder; name a file in it"),
        "{message}"
    );

    let text = "{\"id\": \"p0\"}\n".repeat(200);
    std::fs::write(path("problems.jsonl"), &text).unwrap();
    let message = refused(&path("problems.jsonl"));
    assert!(
        message.contains("problems.jsonl: the file is no SQLite database"),
        "{message}"
    );
    assert_eq!(
        std::fs::read_to_string(path("problems.jsonl")).unwrap(),
        text
    );
}

#[test]
fn a_damaged_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.db");
    let place = path.display().to_string();
    begin(&Store::open(&place).unwrap(), 2000);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[200..half].fill(0xff);
    std::fs::write(&path, bytes).unwrap();
    let message = refused(&place);
    assert!(
        message.contains("the file is damaged") && message.contains(&place),
        "{message}"
    );
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_is_not_there_or_has_no_such_database_is_named_without_the_password() {
    let message = refused("postgres://u:secret@127.0.0.1:1/db");
    assert!(
        message.contains("postgres://u@127.0.0.1:1/db: the server cannot be reached"),
        "{message}"
    );
    assert!(!message.contains("secret"), "{message}");
    if let Some(server) = test_support::PostgresServer::shared() {
        let message = refused(&(server.database() + "missing"));
        assert!(message.contains("no such database; create it"), "{message}");
    }
}

/// In the environment of a process of a test: its folder, with a small or a read-only file system.
const FOLDER: &str = "EURUS_TEST_FOLDER";

/// Runs the test once more where a file system is mounted for it alone; whether that was possible.
fn in_file_system(test: &str, options: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o {options} tmpfs \"$0\" || exit 77; exec \"$@\"");
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", &script])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact"])
        .env(FOLDER, folder.path())
        .status();
    match status {
        Ok(status) if status.success() => true,
        // Not 101, which is a test that failed.
        Ok(status) if status.code() != Some(101) => false,
        Ok(status) => panic!("{test} in a file system of its own: {status}"),
        Err(_) => false,
    }
}

fn mounted() -> Option<String> {
    let folder = std::env::var_os(FOLDER)?;
    Some(Path::new(&folder).join("run.db").display().to_string())
}

#[test]
fn a_full_disk_is_named_and_what_was_committed_is_kept() {
    let Some(place) = mounted() else {
        let test = "store::places::a_full_disk_is_named_and_what_was_committed_is_kept";
        if !in_file_system(test, "size=1m") {
            test_support::skip("no file system can be mounted here");
        }
        return;
    };
    let store = Store::open(&place).unwrap();
    begin(&store, 1);
    let key = AnswerKey::new("small", b"{}");
    let long = "x".repeat(50_000);
    let mut stored = 0;
    let message = loop {
        match store.put_answers(&key, &[(stored, Answer::new(&long, "small"))]) {
            Ok(_) => stored += 1,
            Err(error) => break error.to_string(),
        }
        assert!(stored < 100, "the disk is not full");
    };
    assert!(
        message.contains("run.db: the disk is full; free some space"),
        "{message}"
    );
    assert_eq!(store.answers(&key).unwrap().len(), stored as usize);
    drop(store);
    let store = Store::open(&place).unwrap();
    assert_eq!(store.answers(&key).unwrap().len(), stored as usize);
}

#[test]
fn a_folder_that_may_not_be_written_is_named() {
    let Some(place) = mounted() else {
        if !in_file_system(
            "store::places::a_folder_that_may_not_be_written_is_named",
            "ro",
        ) {
            test_support::skip("no file system can be mounted here");
        }
        return;
    };
    let message = refused(&place);
    assert!(
        message.contains("run.db: the file or its folder may not be written; allow writing in"),
        "{message}"
    );
}
