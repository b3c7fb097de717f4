//! Servers that do as they like: they ignore `n`, refuse it, leave out usage, answer as another model, or refuse for good.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;
use test_support::servers::{Call, ChatServer, Reply};

use super::accounts::account;
use super::company::{company, texts};
use super::site::{RUN, Site};

/// The trees of ten problems with this server, and the account of a server that does as it is told for the same.
fn same_trees_as_without(server: &ChatServer) -> Result<Site> {
    let reference = company(Duration::ZERO);
    let site = Site::new(10, &server.base_url)?;
    let whole = Site::new(10, &reference.base_url)?;
    for site in [&site, &whole] {
        // More samples at once than in other tests, and all in one call.
        site.edit(&[
            ("\nsamples = 4", "\nsamples = 8"),
            ("round = 2", "round = 4"),
            (
                "critic = \"critic\"\n\n[sampling]",
                "critic = \"critic\"\nschemas = []\n\n[sampling]",
            ),
        ])?;
        site.ends(RUN, 0, &[])?;
    }
    ensure!(
        site.trees("run.db")? == whole.trees("run.db")?,
        "other trees"
    );
    ensure!(account(server).samples >= account(&reference).samples);
    Ok(site)
}

#[test]
fn a_server_that_ignores_the_number_of_samples_gives_the_same_trees() -> Result<()> {
    let server = ChatServer::answering(|call| Reply::texts(&texts(call)[..1]));
    same_trees_as_without(&server)?;
    ensure!(
        server
            .calls()
            .iter()
            .filter(|call| call.samples() > 1)
            .count()
            < 20,
        "nothing was learnt"
    );
    Ok(())
}

#[test]
fn a_server_that_refuses_more_than_two_samples_gives_the_same_trees() -> Result<()> {
    let server = ChatServer::answering(|call: &Call| match call.samples() {
        0..=2 => Reply::texts(&texts(call)),
        _ => Reply::status(
            400,
            r#"{"error": {"message": "n must be at most 2", "param": "n"}}"#,
        ),
    });
    same_trees_as_without(&server)?;
    let refused = server
        .calls()
        .iter()
        .filter(|call| call.samples() > 2)
        .count();
    ensure!(
        (1..30).contains(&refused),
        "{refused} of {} were refused",
        server.calls().len()
    );
    Ok(())
}

#[test]
fn a_server_that_leaves_out_usage_gives_the_same_trees_and_the_status_says_that_tokens_are_estimated()
-> Result<()> {
    let server = ChatServer::answering(|call| {
        let mut answer = Reply::completion(&texts(call));
        answer["usage"] = json!(null);
        Reply::ok(answer.to_string())
    });
    let site = same_trees_as_without(&server)?;
    let status = site.status("run.db")?;
    for endpoint in status["endpoints"].as_array().into_iter().flatten() {
        ensure!(
            endpoint["estimated"] == endpoint["answers"] && endpoint["estimated"] != 0,
            "{endpoint}"
        );
        ensure!(
            endpoint["completion_tokens"].as_u64() > Some(0),
            "{endpoint}"
        );
    }
    let told = site.ends("synth status --store run.db", 0, &[])?.out;
    ensure!(told.contains(" answers estimated"), "{told}");
    Ok(())
}

#[test]
fn a_server_that_says_usage_is_not_estimated() -> Result<()> {
    let server = company(Duration::ZERO);
    let site = Site::new(3, &server.base_url)?;
    site.ends(RUN, 0, &[])?;
    let status = site.status("run.db")?;
    for endpoint in status["endpoints"].as_array().into_iter().flatten() {
        ensure!(endpoint["estimated"] == 0, "{endpoint}");
    }
    Ok(())
}

#[test]
fn an_answer_under_another_models_name_ends_the_run_with_both_names_and_the_remedy() -> Result<()> {
    let server = ChatServer::answering(|call| {
        let mut answer = Reply::completion(&texts(call));
        answer["model"] = json!("tiny-chat");
        Reply::ok(answer.to_string())
    });
    let site = Site::new(6, &server.base_url)?;
    site.ends(
        RUN,
        1,
        &["model `cheap` was asked and `tiny-chat` answered; write the name that the server uses into `model`"],
    )?;
    let status = site.status("run.db")?;
    ensure!(
        status["jobs"]["parked"] == 0 && status["jobs"]["done"] == 0,
        "{status}"
    );
    // The user says that it is the right one.
    site.edit_endpoints("accept_other_model = true")?;
    site.ends(RUN, 0, &[])?;
    ensure!(site.status("run.db")?["jobs"]["done"] == 6);
    Ok(())
}

#[test]
fn problems_that_a_server_refuses_for_good_are_given_up_told_and_tried_again_on_request()
-> Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let is_strict = Arc::new(AtomicBool::new(true));
    let strict = is_strict.clone();
    let server = ChatServer::answering(move |call| {
        let is_code = call.body["messages"]
            .to_string()
            .contains("Write a program");
        match is_code && strict.load(Ordering::SeqCst) {
            true => Reply::status(
                400,
                r#"{"error": {"message": "programs are not answered here"}}"#,
            ),
            false => Reply::texts(&texts(call)),
        }
    });
    let site = Site::new(12, &server.base_url)?;
    let ended = site.ends(
        RUN,
        0,
        &["given up: p5: ", "given up: p11: ", "`eurus synth retry`"],
    )?;
    ensure!(
        ended.out.contains("programs are not answered here"),
        "{}",
        ended.out
    );
    let status = site.status("run.db")?;
    ensure!(
        status["jobs"]["done"] == 10 && status["jobs"]["parked"] == 2,
        "{status}"
    );
    ensure!(status["dead_letters"][0]["reason"] == "refused", "{status}");

    is_strict.store(false, Ordering::SeqCst);
    site.ends(RUN, 0, &[])?;
    ensure!(
        site.status("run.db")?["jobs"]["parked"] == 2,
        "they were tried without being told to"
    );
    let told = site
        .ends("synth retry --store run.db --reason refused", 0, &[])?
        .out;
    ensure!(
        told.starts_with("2 problems wait to be tried again"),
        "{told}"
    );
    site.ends(RUN, 0, &[])?;
    let status = site.status("run.db")?;
    ensure!(
        status["jobs"]["done"] == 12 && status["jobs"]["parked"] == 0,
        "{status}"
    );
    Ok(())
}
