//! Conversations in turns: how they go on, end, fail and are gone on with.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;

use chat_model::{ChatModel, ChatRequest, Completion, Error, Finish, FnModel, Message, Role};
use eurus_eval::runs::{Conversation, Partner, Say, lead};
use eurus_eval::samples::{Drawn, PromptToAnswer, Sample, SampleFile, prompt_seed};
use proptest::prelude::*;
use serde_json::json;

/// A user who nods so often, and what is kept of an answer is its first word.
struct Nods(usize);

impl Partner for Nods {
    fn step(&mut self, answer: &str) -> eurus_eval::Result<Option<Say>> {
        if self.0 == 0 {
            return Ok(None);
        }
        self.0 -= 1;
        let first = answer.split(' ').next().unwrap_or_default();
        Ok(Some(Say {
            answer: first.to_owned(),
            user: "Go on.".to_owned(),
        }))
    }
}

/// As many prompts; the one at a place has a user who nods so often.
fn prompts(count: usize, samples: usize) -> Vec<PromptToAnswer> {
    let prompt = |at| {
        let id = format!("prompt {at}");
        let mut request = ChatRequest::new([Message::user(&id)]).with_samples(samples);
        request.sampling.seed = prompt_seed(3, &id);
        PromptToAnswer { id, request }
    };
    (0..count).map(prompt).collect()
}

fn spoken(request: &ChatRequest) -> usize {
    let messages = request.messages.iter();
    messages.filter(|it| it.role == Role::Assistant).count()
}

/// Says what it was asked first, which turn this is and by which seed; 2 tokens.
fn echo(request: &ChatRequest) -> Vec<Completion> {
    let (first, turn) = (&request.messages[0].content, spoken(request));
    let seed = request.sampling.seed;
    let text = |sample: usize| format!("{turn}: {first} {seed} {sample}");
    let samples = 0..request.samples;
    samples
        .map(|it| Completion::new(text(it), Finish::Stop, 2))
        .collect()
}

/// An echo that fails where it is told to.
fn model(
    fault: impl Fn(&ChatRequest) -> Option<Error> + Send + Sync,
) -> FnModel<impl Fn(&ChatRequest) -> chat_model::Result<Vec<Completion>> + Send + Sync> {
    FnModel::new("echo", move |request: &ChatRequest| match fault(request) {
        Some(error) => Err(error),
        None => Ok(echo(request)),
    })
}

/// Leads conversations whose users nod as often as their place says.
fn led(
    model: &dyn ChatModel,
    prompts: &[PromptToAnswer],
    path: &Path,
    at_once: usize,
    observe: &mut dyn FnMut() -> ControlFlow<()>,
) -> (Drawn, Vec<Sample>) {
    let mut file = SampleFile::open(path, &json!({})).expect("a file");
    let conversation = Conversation {
        partner: &|place| Ok(Box::new(Nods(place))),
        sent: &|_, request| Ok(request),
        at_once,
    };
    let drawn = lead(model, prompts, &mut file, &conversation, &mut |_| observe());
    let drawn = drawn.expect("no trouble with the machine");
    let samples = match drawn.stopped {
        true => Vec::new(),
        false => file.finish(prompts).expect("a file"),
    };
    (drawn, samples)
}

fn on() -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn too_long(_: &ChatRequest) -> Option<Error> {
    Some(Error::TooLong {
        model: "echo".into(),
        tokens: 9,
        context: 8,
    })
}

#[test]
fn a_conversation_ends_with_its_partner_and_every_turn_sees_the_ones_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = Mutex::new(Vec::new());
    let model = model(|request| {
        seen.lock().expect("one thread").push(request.clone());
        None
    });
    let (drawn, samples) = led(&model, &prompts(3, 1), &folder.path().join("s"), 9, &mut on);
    assert_eq!((drawn.new, drawn.new_tokens), (3, 12));
    let turns: Vec<usize> = samples.iter().map(|it| it.turns.len()).collect();
    assert_eq!(turns, [1, 2, 3]);
    let last = &samples[2];
    assert_eq!((last.tokens, last.finish), (6, Finish::Stop));
    assert_eq!(last.text, last.turns.join("\n\n"));
    assert_eq!(last.seed, prompt_seed(3, "prompt 2"));
    let seen = seen.lock().expect("one thread");
    let requests = seen
        .iter()
        .filter(|it| it.messages[0].content == "prompt 2");
    let requests: Vec<&ChatRequest> = requests.collect();
    let texts = |request: &ChatRequest| -> Vec<String> {
        let messages = request.messages.iter();
        messages.map(|it| it.content.clone()).collect()
    };
    assert_eq!(
        texts(requests[2]),
        ["prompt 2", "0:", "Go on.", "1:", "Go on."],
        "what the partner makes of an answer stands in the conversation"
    );
    let seeds: BTreeSet<u64> = requests.iter().map(|it| it.sampling.seed).collect();
    assert_eq!(seeds.len(), 3, "a seed for each turn");
}

#[test]
fn a_conversation_that_outgrows_the_context_ends_cut_off_and_a_first_prompt_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = |request: &ChatRequest| match (spoken(request), &request.messages[0].content[..]) {
        (1, _) | (_, "prompt 0") => too_long(request),
        _ => None,
    };
    let (drawn, samples) = led(
        &model(long),
        &prompts(3, 1),
        &folder.path().join("s"),
        9,
        &mut on,
    );
    assert_eq!(drawn.new, 2);
    let failed = &drawn.failed[0];
    assert_eq!(failed.id, "prompt 0");
    assert!(
        !failed.may_pass && failed.reason.contains("context of 8"),
        "{failed:?}"
    );
    for sample in samples {
        assert_eq!((sample.turns.len(), sample.finish), (1, Finish::Length));
    }
}

#[test]
fn an_error_is_what_it_is_whatever_its_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let lost = |request: &ChatRequest| {
        (spoken(request) == 1).then(|| Error::Local {
            model: "echo".into(),
            message: "the graphics context is lost".into(),
        })
    };
    let path = folder.path().join("s");
    let (drawn, samples) = led(&model(lost), &prompts(2, 1), &path, 9, &mut on);
    assert_eq!((drawn.failed.len(), samples.len()), (1, 1));
    assert!(!drawn.failed[0].may_pass);
    // What was said before the fault is nowhere: the conversation is led again from its beginning.
    let (drawn, samples) = led(&model(|_| None), &prompts(2, 1), &path, 9, &mut on);
    assert_eq!((drawn.new, drawn.new_tokens, samples.len()), (1, 4, 2));
}

#[test]
fn what_cannot_be_sent_fails_alone_and_a_passing_fault_may_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = SampleFile::open(folder.path().join("s"), &json!({})).expect("a file");
    let conversation = Conversation {
        partner: &|place| Ok(Box::new(Nods(place))),
        sent: &|place, request| match place {
            1 => Err("no template for it".to_owned()),
            _ => Ok(request),
        },
        at_once: 9,
    };
    let model = model(|request| {
        (request.messages[0].content == "prompt 2").then_some(Error::Malformed {
            url: "u".into(),
            status: 200,
            problem: "p".into(),
            body: String::new(),
            attempts: 1,
        })
    });
    let drawn = lead(
        &model,
        &prompts(3, 1),
        &mut file,
        &conversation,
        &mut |_| on(),
    )
    .expect("no trouble with the machine");
    assert_eq!(drawn.new, 1);
    let failed = drawn.failed.iter();
    let mut failed: Vec<(&str, bool)> = failed.map(|it| (it.id.as_str(), it.may_pass)).collect();
    failed.sort_unstable();
    assert_eq!(failed, [("prompt 1", false), ("prompt 2", true)]);
}

#[test]
fn trouble_of_a_partner_ends_it_all() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = SampleFile::open(folder.path().join("s"), &json!({})).expect("a file");
    let conversation = Conversation {
        partner: &|_| {
            Err(eurus_eval::Error::CannotGrade {
                task: "t".into(),
                item: "i".into(),
                problem: "no session".into(),
            })
        },
        sent: &|_, request| Ok(request),
        at_once: 1,
    };
    let ended = lead(
        &model(|_| None),
        &prompts(1, 1),
        &mut file,
        &conversation,
        &mut |_| on(),
    );
    assert!(ended.is_err());
}

#[test]
fn no_more_are_led_at_once_than_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = SampleFile::open(folder.path().join("s"), &json!({})).expect("a file");
    let begun = Cell::new(0);
    let conversation = Conversation {
        partner: &|place| {
            begun.set(begun.get() + 1);
            Ok(Box::new(Nods(place)))
        },
        sent: &|_, request| Ok(request),
        at_once: 2,
    };
    let most = Cell::new(0);
    let drawn = lead(
        &model(|_| None),
        &prompts(6, 1),
        &mut file,
        &conversation,
        &mut |progress| {
            most.set(most.get().max(begun.get() - progress.done));
            on()
        },
    );
    assert_eq!(drawn.expect("no trouble").new, 6);
    assert_eq!((begun.get(), most.get()), (6, 2));
}

proptest! {
    #[test]
    fn a_file_is_the_same_however_many_are_led_at_once_and_however_often_it_was_stopped(
        at_once in 1_usize..8,
        stops in prop::collection::vec(1_usize..4, 0..4),
    ) {
        let folder = tempfile::tempdir()?;
        let (prompts, model) = (prompts(4, 2), model(|_| None));
        let (_, whole) = led(&model, &prompts, &folder.path().join("whole"), 100, &mut on);
        let path = folder.path().join("stopped");
        for rounds in stops {
            let mut left = rounds;
            led(&model, &prompts, &path, at_once, &mut || {
                left -= 1;
                match left {
                    0 => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            });
        }
        let (_, samples) = led(&model, &prompts, &path, at_once, &mut on);
        prop_assert_eq!(samples, whole);
    }
}
