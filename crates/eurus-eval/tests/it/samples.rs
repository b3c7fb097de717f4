//! Files of samples: going on, other settings, torn lines.

use std::ops::ControlFlow;

use chat_model::{ChatRequest, Completion, FnModel, Message};
use eurus_eval::Error;
use eurus_eval::samples::{PromptToAnswer, Sample, SampleFile, draw, prompt_seed};
use proptest::prelude::*;
use serde_json::json;

fn prompts(count: usize, samples: usize) -> Vec<PromptToAnswer> {
    (0..count)
        .map(|index| {
            let id = format!("problem {index}");
            let mut request = ChatRequest::new([Message::user(&id)]).with_samples(samples);
            request.sampling.seed = prompt_seed(3, &id);
            PromptToAnswer { id, request }
        })
        .collect()
}

/// Answers with the prompt, the seed and the number of the sample; refuses what has a 7 in it.
fn model() -> FnModel<impl Fn(&ChatRequest) -> chat_model::Result<Vec<Completion>> + Send + Sync> {
    FnModel::new("scripted", |request: &ChatRequest| {
        let text = &request.messages[0].content;
        if text.contains('7') {
            return Err(chat_model::Error::Local {
                model: "scripted".into(),
                message: "too long".into(),
            });
        }
        let seed = request.sampling.seed;
        let answers =
            (0..request.samples).map(|it| Completion::stopped(format!("{text} {seed} {it}")));
        Ok(answers.collect())
    })
}

#[test]
fn a_prompt_that_fails_is_counted_and_the_others_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let prompts = prompts(10, 3);
    let mut file = SampleFile::open(folder.path().join("s.jsonl"), &json!({})).unwrap();
    let mut heard = 0;
    let drawn = draw(&model(), &prompts, &mut file, &mut |progress| {
        heard += 1;
        assert_eq!((progress.done, progress.wanted), (heard, 30));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(drawn.new, 27);
    assert_eq!(drawn.failed.len(), 1);
    assert_eq!(drawn.failed[0].id, "problem 7");
    assert!(drawn.failed[0].reason.contains("too long"), "{drawn:?}");
}

#[test]
fn other_settings_a_missing_file_of_settings_and_a_sample_twice_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.jsonl");
    let settings = json!({"model": "a", "sampling": {"temperature": 1.0}});
    let mut file = SampleFile::open(&path, &settings).unwrap();
    draw(&model(), &prompts(1, 1), &mut file, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    drop(file);
    let other = json!({"model": "a", "sampling": {"temperature": 0.5}});
    let said = SampleFile::open(&path, &other).unwrap_err().to_string();
    assert!(
        said.contains("`sampling.temperature` is 1.0 there and 0.5 here"),
        "{said}"
    );

    let line = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{line}{line}")).unwrap();
    let error = SampleFile::open(&path, &settings).unwrap_err();
    assert!(
        matches!(error, Error::DuplicateSample { line: 2, .. }),
        "{error}"
    );

    std::fs::write(&path, "{\"id\": 1}\n").unwrap();
    let said = SampleFile::open(&path, &settings).unwrap_err().to_string();
    assert!(
        said.contains("row 1 of ") && said.contains("field `id`"),
        "{said}"
    );

    std::fs::remove_file(folder.path().join("s.run.json")).unwrap();
    let error = SampleFile::open(&path, &settings).unwrap_err();
    assert!(matches!(error, Error::NoSettings { .. }), "{error}");
}

#[test]
fn a_log_prob_that_is_no_number_and_an_id_twice_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let prompts = prompts(1, 1);
    let mut file = SampleFile::open(folder.path().join("s.jsonl"), &json!({})).unwrap();
    let mut sample = Sample::new(&prompts[0], 0, Completion::stopped("x"));
    sample.log_prob = Some(f64::NAN);
    let error = file.append(sample).unwrap_err();
    assert!(matches!(error, Error::LogProbNotFinite { .. }), "{error}");
    let twice = [prompts[0].clone(), prompts[0].clone()];
    let error = draw(&model(), &twice, &mut file, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap_err();
    assert!(matches!(error, Error::DuplicatePrompt { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// As after a kill: the file ends anywhere, in a line too.
    #[test]
    fn a_file_that_was_broken_off_anywhere_ends_as_if_it_had_not_been(
        count in 1usize..6,
        samples in 1usize..5,
        stop in 0usize..20,
        torn in 0usize..80,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let prompts = prompts(count, samples);
        let run = |name: &str| {
            let mut file = SampleFile::open(folder.path().join(name), &json!({"seed": 3})).unwrap();
            draw(&model(), &prompts, &mut file, &mut |_| ControlFlow::Continue(())).unwrap();
            file.finish(&prompts).unwrap();
            std::fs::read(folder.path().join(name)).unwrap()
        };
        let whole = run("whole.jsonl");
        let broken = folder.path().join("broken.jsonl");
        let mut file = SampleFile::open(&broken, &json!({"seed": 3})).unwrap();
        let mut left = stop;
        draw(&model(), &prompts, &mut file, &mut |_| {
            left = left.saturating_sub(1);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }).unwrap();
        drop(file);
        let bytes = std::fs::read(&broken).unwrap();
        std::fs::write(&broken, &bytes[..bytes.len().saturating_sub(torn)]).unwrap();
        prop_assert_eq!(run("broken.jsonl"), whole);
    }
}
