//! Processes under `mpirun` on this machine: the run of one process, shared out. Needs `mpirun` of Open MPI.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Context, Result, bail, ensure};

const PREFER: &str =
    "prefer --model model --data pairs.jsonl --trees-per-step 4 --learning-rate 1e-4";

/// The program on several processes of this machine, one thread each.
fn mpirun(place: &Workplace, processes: usize, arguments: &str) -> Command {
    let mut command = Command::new("mpirun");
    command
        .args(["-n", &processes.to_string(), env!("CARGO_BIN_EXE_eurus")])
        .args(arguments.split_whitespace())
        .arg("--mpi")
        .current_dir(place.path(""))
        .env("RAYON_NUM_THREADS", "1")
        // Tests may run as root, on fewer cores than processes, and where processes may not read each other's memory.
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    command
}

#[test]
fn two_and_four_processes_have_the_losses_of_one() -> Result<()> {
    let place = Workplace::new()?;
    let runs = [
        format!("{PREFER} --algorithm dpo --epochs 3"),
        format!("{PREFER} --algorithm kto --epochs 3"),
        format!("{PREFER} --algorithm nca --epochs 3"),
        "sft --model model --data sft.jsonl --epochs 3 --trees-per-step 5".to_owned(),
        "reward --model model --data pairs.jsonl --epochs 3 --trees-per-step 4".to_owned(),
    ];
    for (index, run) in runs.iter().enumerate() {
        let alone = format!("alone-{index}");
        place.succeed(&format!("{run} --out {alone}"))?;
        let expected = place.losses_of(&alone)?;
        ensure!(expected.len() >= 3, "{run} takes some steps");
        for processes in [2, 4] {
            let out = format!("out-{index}-{processes}");
            let output = mpirun(&place, processes, &format!("{run} --out {out}")).output()?;
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{run}: {errors}");
            ensure_near(&expected, &place.losses_of(&out)?).context(run.clone())?;
            ensure!(place.path(&out).join("model.safetensors").exists());
            let summary = String::from_utf8(output.stdout)?;
            let times = summary.matches("Checkpoint and tokenizer").count();
            ensure!(times == 1, "one process reports, not {times}");
        }
    }
    Ok(())
}

/// The processes that `launcher` started.
fn children(launcher: u32) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path();
        let Ok(status) = std::fs::read_to_string(path.join("stat")) else {
            continue;
        };
        // "pid (name) state parent ..."
        let parent = status
            .rsplit(") ")
            .next()
            .and_then(|it| it.split(' ').nth(1));
        if parent.and_then(|it| it.parse().ok()) == Some(launcher) {
            let pid: Option<u32> = path.file_name().and_then(|it| it.to_str()?.parse().ok());
            found.extend(pid);
        }
    }
    Ok(found)
}

fn wait_for(what: &str, mut happened: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !happened()? {
        if start.elapsed() > Duration::from_secs(120) {
            bail!("waited in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn kill(pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()?;
    ensure!(status.success(), "kill -9 {pid}");
    Ok(())
}

fn has_snapshot(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| name.starts_with("step-"))
}

/// A launcher that is ended with the test.
struct Launched(Child);

impl Drop for Launched {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lost_process_ends_the_job_and_another_number_of_them_goes_on() -> Result<()> {
    let place = Workplace::new()?;
    let run = format!("{PREFER} --algorithm kto --epochs 60");
    place.succeed(&format!("{run} --out alone"))?;

    let resumed = format!("{run} --out out --snapshot-every 2 --resume");
    let mut job = mpirun(&place, 4, &resumed);
    let job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut job = Launched(job);
    let snapshots: PathBuf = place.path("out.snapshots");
    wait_for("a snapshot", || Ok(has_snapshot(&snapshots)))?;
    let processes = children(job.0.id())?;
    ensure!(processes.len() == 4, "{processes:?}");
    kill(processes[2])?;
    wait_for("the end of the job", || Ok(job.0.try_wait()?.is_some()))?;
    ensure!(!job.0.wait()?.success());
    ensure!(!place.path("out").exists(), "it was lost before its end");
    let is_gone = |pid: &u32| !Path::new("/proc").join(pid.to_string()).exists();
    wait_for("the other processes to end", || {
        Ok(processes.iter().all(is_gone))
    })?;

    let output = mpirun(&place, 2, &resumed).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    ensure_says(&errors, &["going on after step"])?;
    ensure_near(&place.losses_of("alone")?, &place.losses_of("out")?)
}

#[test]
fn a_process_that_is_started_alone_is_a_run_by_itself() -> Result<()> {
    let place = Workplace::new()?;
    let run = "sft --model model --data sft.jsonl --out";
    place.succeed(&format!("{run} alone"))?;
    let output = mpirun(&place, 1, &format!("{run} launched")).output()?;
    ensure!(output.status.success());
    place.succeed(&format!("{run} by-hand --mpi"))?;
    let losses = place.losses_of("alone")?;
    ensure!(place.losses_of("launched")? == losses && place.losses_of("by-hand")? == losses);
    Ok(())
}

#[test]
fn what_is_wrong_is_said_once_and_nothing_is_written() -> Result<()> {
    let place = Workplace::new()?;
    std::fs::write(place.path("bad.jsonl"), "{\"id\": 3}\n")?;
    let run = "sft --model model --data bad.jsonl --out out";
    let output = mpirun(&place, 3, run).output()?;
    ensure!(!output.status.success());
    let errors = String::from_utf8(output.stderr)?;
    let times = errors.matches("error:").count();
    ensure!(times == 1 && errors.contains("bad.jsonl"), "{errors}");
    ensure!(!place.path("out").exists());
    Ok(())
}
