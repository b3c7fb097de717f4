//! The page of a run that goes on, in a browser.

use std::fs;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use test_support::chromium::{Chromium, Page, View};

use super::{PATIENCE, PREFER, Served};
use crate::common::Workplace;

/// The last step that the page tells of; none of a run that is whole.
const LAST_STEP: &str = "Number(document.querySelector('main').textContent.match(/step (\\d+) of \\d+ is the last/)?.[1] ?? NaN)";
const STATE: &str = "document.querySelector('.live').textContent";

fn value(page: &mut Page, expression: &str) -> Result<Value> {
    page.evaluate(expression)
        .map_err(|problem| anyhow!(problem))
}

fn wait_until(page: &mut Page, expression: &str) -> Result<()> {
    let began = Instant::now();
    while value(page, expression)? != true {
        ensure!(began.elapsed() < PATIENCE, "not in time: {expression}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

#[test]
fn a_page_that_is_open_outlives_its_server_and_is_the_written_one_in_the_end() -> Result<()> {
    let Some(browser) = Chromium::start() else {
        return Ok(());
    };
    let place = Workplace::new()?;
    let mut run = place.watch(&format!(
        "{PREFER} --algorithm kto --out kto --epochs 400 --eval pairs.jsonl --eval-every 40 --eval-samples 2"
    ))?;
    run.wait_for("1/")?;
    let served = Served::start(&place, "report kto --serve --port 0")?;
    let url = format!("http://{}/", served.address);
    let port = served
        .address
        .rsplit(':')
        .next()
        .context("a port")?
        .to_owned();
    let mut page = browser
        .open_url(&url, View::default())
        .map_err(|problem| anyhow!(problem))?;
    value(&mut page, "window.isTheSame = true")?;
    let first = value(&mut page, LAST_STEP)?;
    wait_until(&mut page, &format!("{LAST_STEP} > {first}"))?;

    drop(served);
    wait_until(&mut page, &format!("{STATE} === 'the server is gone'"))?;
    let there = value(&mut page, LAST_STEP)?;
    let served = Served::start(&place, &format!("report kto --serve --port {port}"))?;
    wait_until(
        &mut page,
        &format!("{STATE} === 'live' && {LAST_STEP} > {there}"),
    )?;

    let (code, said) = run.end()?;
    ensure!(code == Some(0), "{said}");
    wait_until(&mut page, &format!("{STATE} === 'complete'"))?;
    ensure!(
        value(&mut page, "window.isTheSame")? == true,
        "it was loaded anew"
    );
    for complaint in page.complaints() {
        ensure!(complaint.contains("ERR_CONNECTION_REFUSED"), "{complaint}");
    }
    for request in page.requests() {
        ensure!(request == format!("{url}report.html"), "{request}");
    }
    place.succeed("report kto --out page.html")?;
    ensure!(served.get("/")? == fs::read_to_string(place.path("page.html"))?);
    let parts = "[...document.querySelector('main').children].map(it => it.outerHTML).join('\\n')";
    let followed = value(&mut page, parts)?;
    let mut written = browser
        .open(place.path("page.html"), View::default())
        .map_err(|problem| anyhow!(problem))?;
    ensure!(followed == value(&mut written, parts)?, "the pages differ");
    Ok(())
}
