//! Several devices of one process: the run of one, shared out. On the CPU, where models in threads share the cores; what NCCL
//! does in place of them needs two GPUs.

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Context, Result, ensure};

const KTO: &str = "prefer --model model --data pairs.jsonl --algorithm kto --trees-per-step 4 --learning-rate 1e-4 --epochs 3";

#[test]
fn two_and_three_devices_have_the_losses_of_one() -> Result<()> {
    let place = Workplace::new()?;
    let runs = [
        KTO,
        "sft --model model --data sft.jsonl --epochs 3 --trees-per-step 5",
        "reward --model model --data pairs.jsonl --epochs 3 --trees-per-step 4",
    ];
    for (index, run) in runs.iter().enumerate() {
        let alone = format!("alone-{index}");
        place.succeed(&format!("{run} --out {alone}"))?;
        let expected = place.losses_of(&alone)?;
        ensure!(expected.len() >= 3, "{run} takes some steps");
        for devices in [2, 3] {
            let out = format!("out-{index}-{devices}");
            let summary = place.succeed(&format!("{run} --devices {devices} --out {out}"))?;
            ensure_near(&expected, &place.losses_of(&out)?).context(run.to_string())?;
            ensure!(place.path(&out).join("model.safetensors").exists());
            let times = summary.matches("Checkpoint and tokenizer").count();
            ensure!(times == 1, "one rank reports, not {times}");
        }
    }
    Ok(())
}

#[test]
fn a_run_on_two_devices_goes_on_with_one() -> Result<()> {
    let place = Workplace::new()?;
    place.succeed(&format!("{KTO} --out alone"))?;
    let run = format!("{KTO} --out out --snapshot-every 2 --resume");
    place.succeed(&format!("{run} --devices 2"))?;
    std::fs::remove_dir_all(place.path("out"))?;
    let errors = place.told(&run)?;
    ensure_says(&errors, &["going on after step"])?;
    ensure_near(&place.losses_of("alone")?, &place.losses_of("out")?)
}

#[test]
fn what_is_wrong_is_said_once_and_nothing_is_written() -> Result<()> {
    let place = Workplace::new()?;
    std::fs::write(place.path("bad.jsonl"), "{\"id\": 3}\n")?;
    let errors = place.refusal("sft --model model --data bad.jsonl --out out --devices 3")?;
    let times = errors.matches("error:").count();
    ensure!(times == 1 && errors.contains("bad.jsonl"), "{errors}");
    ensure!(!place.path("out").exists());
    Ok(())
}

#[test]
fn devices_that_cannot_be_had_are_refused() -> Result<()> {
    let place = Workplace::new()?;
    for (options, words) in [
        ("--devices 0", "at least 1"),
        ("--devices 2 --mpi", "cannot be used with"),
        ("--devices 2 --device wgpu", "leave --devices out"),
    ] {
        let output = place.run(&format!("{KTO} --out out {options}"))?;
        ensure!(output.status.code() == Some(2), "{options}: {output:?}");
        ensure_says(&String::from_utf8(output.stderr)?, &[words])?;
    }
    Ok(())
}
