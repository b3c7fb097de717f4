//! Money: the server's own account stays within the budget, whatever is in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use test_support::servers::{ChatServer, Reply};

use super::accounts::account;
use super::company::{mixed, texts};
use super::site::{RUN, Site};

const BUDGET: f64 = 3.0;
/// Of a million tokens.
const PROMPT_PRICE: u64 = 20;
const COMPLETION_PRICE: u64 = 500;

/// A server that bills each call as it likes, within what was asked for, in millionths of the unit of money.
fn billing() -> (ChatServer, Arc<AtomicU64>) {
    let billed = Arc::new(AtomicU64::new(0));
    let account = billed.clone();
    let server = ChatServer::answering(move |call| {
        std::thread::sleep(Duration::from_millis(300));
        let texts = texts(call);
        let drawn = mixed(&call.body.to_string(), 0);
        let longest = call.body["max_tokens"].as_u64().unwrap_or_default();
        let completion = texts.len() as u64 * (longest / 2 + drawn % (longest / 2 + 1));
        let prompt = call.body["messages"].to_string().len() as u64 / 4;
        account.fetch_add(
            prompt * PROMPT_PRICE + completion * COMPLETION_PRICE,
            Ordering::SeqCst,
        );
        let mut answer = Reply::completion(&texts);
        answer["usage"] = json!({"prompt_tokens": prompt, "completion_tokens": completion});
        Reply::ok(answer.to_string())
    });
    (server, billed)
}

/// A place for a run with that server at these prices.
fn priced(problems: usize, server: &ChatServer) -> Result<Site> {
    let site = Site::new(problems, &server.base_url)?;
    site.edit_endpoints(&format!(
        "prices = {{ prompt_per_million = {PROMPT_PRICE}.0, completion_per_million = {COMPLETION_PRICE}.0 }}"
    ))?;
    Ok(site)
}

#[test]
fn a_run_with_32_calls_in_flight_spends_no_more_than_its_budget_and_goes_on_with_a_higher_one()
-> Result<()> {
    let (server, billed) = billing();
    let site = priced(60, &server)?;
    site.edit(&[
        ("seed = 1\n", "seed = 1\nbudget = 3.0\n"),
        ("trees_in_flight = 6", "trees_in_flight = 32"),
    ])?;
    let ended = site.ends(
        RUN,
        3,
        &[
            "budget: a call of model `",
            "Raise `budget` in synth.toml and go on with:\n",
            "what was answered is kept",
        ],
    )?;
    let billed_at_first = billed.load(Ordering::SeqCst) as f64 / 1e6;
    ensure!(
        billed_at_first <= BUDGET,
        "{billed_at_first} is beyond the budget"
    );
    // Most of the money is used: only what the calls under way might have cost can be left.
    ensure!(
        billed_at_first > BUDGET / 3.0,
        "only {billed_at_first} was spent"
    );
    ensure!(server.peak() > 16, "{} calls at once", server.peak());
    let status = site.status("run.db")?;
    let spent = status["spent"].as_f64().context("money")?;
    // Each cost is rounded up to a millionth.
    ensure!(
        (spent - billed_at_first).abs() < 1e-3,
        "{spent} is not {billed_at_first}"
    );
    ensure!(status["reserved"] == 0.0, "{status}");
    ensure!(status["jobs"]["parked"] == 0, "{status}");

    // Without more money nothing more is spent beyond it.
    site.ends(RUN, 3, &["budget"])?;
    let billed_again = billed.load(Ordering::SeqCst) as f64 / 1e6;
    ensure!(
        billed_again <= BUDGET,
        "{billed_again} is beyond the budget"
    );

    site.edit(&[("budget = 3.0", "budget = 100.0")])?;
    let command = crate::interrupts::to_go_on(&ended.said).context("a command")?;
    crate::interrupts::go_on(&site.place, command)?;
    let status = site.status("run.db")?;
    ensure!(status["jobs"]["done"] == 60, "{status}");
    let account = account(&server);
    ensure!(account.repeated == 0, "{account:?}");
    let spent = status["spent"].as_f64().context("money")?;
    let billed = billed.load(Ordering::SeqCst) as f64 / 1e6;
    ensure!(
        (spent - billed).abs() < 1e-3 && spent > BUDGET,
        "{spent} is not {billed}"
    );
    Ok(())
}

#[test]
fn a_dry_run_tells_limits_between_which_the_run_stays() -> Result<()> {
    let (server, billed) = billing();
    let site = priced(12, &server)?;
    let told = site.ends(&format!("{RUN} --dry-run"), 0, &[])?.out;
    ensure!(server.calls().is_empty(), "it asked");
    let money = told.split("all together ").nth(1).context("a sum")?;
    let mut numbers = money
        .split_whitespace()
        .filter_map(|word| word.parse::<f64>().ok());
    let (least, most) = (
        numbers.next().context("least")?,
        numbers.next().context("most")?,
    );
    site.ends(RUN, 0, &[])?;
    let billed = billed.load(Ordering::SeqCst) as f64 / 1e6;
    ensure!(
        (least..=most).contains(&billed),
        "{billed} is not within {least} to {most}"
    );
    Ok(())
}
