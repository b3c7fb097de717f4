//! Several devices of one process: the run of one, shared out. On the CPU, where models in threads share the cores; what NCCL
//! does in place of them needs two GPUs. And devices that are not there, whoever asks for them.

use crate::common::{Workplace, ensure_near, ensure_says};
use anyhow::{Context, Result, ensure};
use serde_json::json;

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

/// All commands that have a checkpoint compute.
const ON_A_DEVICE: [&str; 9] = [
    "sft --model model --data sft.jsonl --out out",
    "generate --model model --data sft.jsonl --out out.jsonl",
    "chat --model model",
    "serve --model model --port 0",
    "score --policy model --no-reference --data pairs.jsonl --out out.jsonl",
    "eval run --task sums.toml --model model --out out",
    "eval rm pairs --data pairs.jsonl --model model",
    "eval rm pairs --data pairs.jsonl --judge model --ratings out.jsonl",
    "synth run --config synth.toml --data problems.jsonl --store store.db",
];

/// A place with what those commands read.
fn place_of_commands(device: &str) -> Result<Workplace> {
    let place = Workplace::new()?;
    std::fs::write(place.path("sums.toml"), crate::serve::TASK)?;
    place.write_rows("sums.jsonl", &[json!({"question": "1 + 1", "answer": 2})])?;
    place.write_rows(
        "problems.jsonl",
        &[json!({"id": "a", "task": "Math_CoT", "instruction": "What is 1 + 1?", "answer": "2"})],
    )?;
    let endpoint = format!("[endpoints.small]\ncheckpoint = \"model\"\ndevice = \"{device}\"");
    let file = format!("[actors]\ncheap = \"small\"\n{endpoint}\n");
    std::fs::write(place.path("synth.toml"), file)?;
    Ok(place)
}

#[cfg(not(feature = "cuda"))]
#[test]
fn a_device_that_the_program_was_built_without_is_refused_by_every_command() -> Result<()> {
    let place = place_of_commands("cuda")?;
    for command in ON_A_DEVICE {
        let said = place.refusal(&on(command, "cuda"))?;
        let says = "--device cuda: this program was built without it; build it with `cargo build --release -p eurus-cli --features cuda`";
        ensure_says(&said, &[says]).context(command)?;
        ensure!(!place.path("out").exists() && !place.path("out.jsonl").exists());
    }
    Ok(())
}

#[cfg(feature = "cuda")]
#[test]
fn a_device_that_is_not_there_is_an_error_and_no_panic() -> Result<()> {
    let place = place_of_commands("cuda")?;
    for command in ON_A_DEVICE {
        let line = on(command, "cuda");
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut run = place.command(&words);
        let output = run.env("CUDA_VISIBLE_DEVICES", "").output()?;
        let said = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(1), "{command}: {said}");
        ensure!(!said.contains("panicked"), "{command}: {said}");
        let says = [
            "--device cuda: there is none here that computes: ",
            "use --device cpu",
        ];
        ensure_says(&said, &says).context(command)?;
    }
    Ok(())
}

/// A command with a device, unless its run file says which.
fn on(command: &str, device: &str) -> String {
    match command.starts_with("synth") {
        true => command.to_owned(),
        false => format!("{command} --device {device}"),
    }
}
