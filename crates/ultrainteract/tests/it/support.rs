//! Random examples of every kind, shared by the tests.

// Each test program uses a part of this.
#![allow(dead_code)]

use proptest::prelude::*;
use ultrainteract::Message;
use ultrainteract::example::{
    Completion, Conversation, Example, Origin, Preference, Ranking, Scored, Unpaired,
};
use ultrainteract::formats::{Format, PairRow, SftRow};
use ultrainteract::{Action, ActionSource, Observation, PreferenceTree, Schema, Task, Verdict};

/// Text that says something, with everything that JSON must escape.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z]{1,6}( [a-z0-9]{1,6}){0,4}",
        1 => "[\\PC\n\t\"\\\\\u{1}é漢😀]{0,10}x",
    ]
}

pub fn task() -> impl Strategy<Value = Task> {
    prop::sample::select(Task::ALL.to_vec())
}

pub fn origin() -> impl Strategy<Value = Origin> {
    (
        prop::option::of(text()),
        prop::option::of(text()),
        prop::option::of(task()),
        prop::option::of(text()),
    )
        .prop_map(|(id, parent_id, task, dataset)| Origin {
            id,
            parent_id,
            task,
            dataset,
        })
}

/// User and assistant in turn, ending with the user, maybe under a system message.
pub fn prompt() -> impl Strategy<Value = Vec<Message>> {
    (
        prop::option::of(text()),
        text(),
        prop::collection::vec((text(), text()), 0..3),
    )
        .prop_map(|(system, first, turns)| {
            let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
            messages.push(Message::user(first));
            for (answer, next) in turns {
                messages.extend([Message::assistant(answer), Message::user(next)]);
            }
            messages
        })
}

fn answer() -> impl Strategy<Value = Vec<Message>> {
    text().prop_map(|text| vec![Message::assistant(text)])
}

fn one_user_message() -> impl Strategy<Value = Vec<Message>> {
    text().prop_map(|text| vec![Message::user(text)])
}

pub fn conversation(system: bool) -> impl Strategy<Value = Example> {
    (origin(), prompt(), text()).prop_map(move |(origin, mut messages, last)| {
        if !system && messages[0].role.as_str() == "system" {
            messages.remove(0);
        }
        messages.push(Message::assistant(last));
        Example::Conversation(Conversation { origin, messages })
    })
}

fn question() -> impl Strategy<Value = Example> {
    (origin(), prop::option::of(text()), text(), text()).prop_map(
        |(origin, system, question, response)| {
            let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
            messages.extend([Message::user(question), Message::assistant(response)]);
            Example::Conversation(Conversation { origin, messages })
        },
    )
}

fn completion(chat: bool) -> BoxedStrategy<Example> {
    let prompt = if chat {
        prompt().boxed()
    } else {
        one_user_message().boxed()
    };
    (origin(), prompt, answer())
        .prop_map(|(origin, prompt, completion)| {
            Example::Completion(Completion {
                origin,
                prompt,
                completion,
            })
        })
        .boxed()
}

fn unpaired(chat: bool) -> BoxedStrategy<Example> {
    let prompt = if chat {
        prompt().boxed()
    } else {
        one_user_message().boxed()
    };
    (origin(), prompt, answer(), any::<bool>())
        .prop_map(|(origin, prompt, completion, label)| {
            Example::Unpaired(Unpaired {
                origin,
                prompt,
                completion,
                label,
            })
        })
        .boxed()
}

fn preference(chat: bool) -> BoxedStrategy<Example> {
    let prompt = if chat {
        prompt().boxed()
    } else {
        one_user_message().boxed()
    };
    let scores = prop::option::of((-1e3f64..1e3, -1e3f64..1e3));
    (origin(), prompt, answer(), answer(), scores)
        .prop_filter("answers differ", |(_, _, chosen, rejected, _)| {
            chosen != rejected
        })
        .prop_map(|(origin, prompt, chosen, rejected, scores)| {
            Example::Preference(Preference {
                origin,
                prompt,
                chosen,
                rejected,
                scores,
            })
        })
        .boxed()
}

fn scored() -> impl Strategy<Value = Scored> {
    (
        prop::option::of(text()),
        prop::option::of(text()),
        text(),
        prop::option::of(0u8..6),
        prop::option::of(0f64..10.0),
    )
        .prop_map(|(model, principle, response, rating, overall_score)| Scored {
            model,
            custom_system_prompt: principle.clone(),
            principle,
            response,
            annotations: rating.map(|rating| {
                serde_json::json!({ "harmlessness": [{ "Rating": rating.to_string(), "Rationale": "so" }] })
            }),
            critique: None,
            fine_grained_score: overall_score,
            overall_score,
        })
}

pub fn ranking(jailbreak: bool) -> impl Strategy<Value = Example> {
    let prompt = if jailbreak {
        text().prop_map(Some).boxed()
    } else {
        Just(None).boxed()
    };
    (
        prop::option::of(text()),
        prompt,
        text(),
        prop::collection::vec(scored(), 0..5),
        prop::option::of(prop::collection::vec(text(), 0..3)),
    )
        .prop_map(
            |(source, prompt, instruction, completions, correct_answers)| {
                Example::Ranking(Ranking {
                    source,
                    prompt,
                    instruction,
                    models: completions
                        .iter()
                        .filter_map(|one| one.model.clone())
                        .collect(),
                    completions,
                    correct_answers,
                    incorrect_answers: None,
                })
            },
        )
}

pub fn pair_row() -> impl Strategy<Value = PairRow> {
    (
        (text(), text(), task(), text()),
        text(),
        prop::collection::vec((text(), text()), 0..4),
        (text(), text()).prop_filter("a pair differs", |(a, b)| a != b),
    )
        .prop_map(
            |((id, parent_id, task, dataset), first, turns, (chosen, rejected))| {
                let mut trajectory = vec![Message::user(first)];
                for (action, observation) in turns {
                    trajectory.push(Message::assistant(action));
                    trajectory.push(Message::user(observation));
                }
                PairRow {
                    id,
                    parent_id,
                    task,
                    dataset,
                    trajectory,
                    chosen,
                    rejected,
                }
            },
        )
}

fn sft_row() -> impl Strategy<Value = SftRow> {
    (text(), text(), task(), text(), text(), text()).prop_map(
        |(id, parent_id, task, dataset, instruction, response)| SftRow {
            id,
            parent_id,
            task,
            dataset,
            instruction,
            response,
        },
    )
}

/// A tree as the paper grows it: in each turn a wrong action that is expanded, some right and some
/// wrong ones beside it, some of them paired.
pub fn tree() -> impl Strategy<Value = PreferenceTree> {
    let turn = (0usize..4, 0usize..4, 0usize..5, any::<bool>());
    (
        "[a-z0-9]{1,8}",
        task(),
        prop::sample::select(vec!["MATH", "gsm8k", "taco", "own"]),
        prop::collection::vec(turn, 0..=5),
        prop::option::of(text()),
        0u8..3,
    )
        .prop_map(|(id, task, dataset, turns, truth, shared)| {
            let instruction = format!("Solve {id}.");
            let mut tree = PreferenceTree::new(id, task, dataset, instruction).expect("a start");
            if let Some(truth) = truth {
                tree = tree.with_ground_truth(truth);
            }
            let mut prompt = tree.root();
            for (turn, (right, wrong, pairs, expand)) in turns.into_iter().enumerate() {
                // Some texts come back in later turns.
                let turn_name = turn as u8 % (shared + 1);
                let mut add = |text: String, verdict| {
                    tree.add_action(prompt, action(&text, verdict))
                        .expect("new")
                };
                let rights: Vec<_> = (0..right)
                    .map(|n| add(format!("right {turn_name} {n}"), Verdict::Correct))
                    .collect();
                let wrongs: Vec<_> = (0..wrong)
                    .map(|n| add(format!("wrong {turn_name} {n}"), Verdict::Incorrect))
                    .collect();
                for pair in 0..pairs {
                    if let (Some(&chosen), Some(&rejected)) = (
                        rights.get(pair % rights.len().max(1)),
                        wrongs.get(pair / 2 % wrongs.len().max(1)),
                    ) {
                        tree.add_pair(chosen, rejected).expect("a pair");
                    }
                }
                let Some(&trunk) = wrongs.first().filter(|_| expand) else {
                    break;
                };
                let seen = Observation::parse(&format!("Out: {turn}\nYour answer is wrong."));
                prompt = tree.add_observation(trunk, seen).expect("an open action");
            }
            tree
        })
}

pub fn action(text: &str, verdict: Verdict) -> Action {
    Action {
        text: text.to_string(),
        verdict,
        actor: "actor".to_string(),
        schema: Schema::ChainOfThought,
        source: ActionSource::Sampled,
    }
}

/// Examples that the format holds as they are.
pub fn example_of(format: Format) -> BoxedStrategy<Example> {
    match format {
        Format::Tree => tree()
            .prop_map(|tree| Example::Tree(Box::new(tree)))
            .boxed(),
        Format::Pair => pair_row().prop_map(Example::Pair).boxed(),
        Format::Sft => sft_row().prop_map(Example::Sft).boxed(),
        Format::UltraFeedback => ranking(false).boxed(),
        Format::UltraSafety => ranking(true).boxed(),
        Format::UltraChat => conversation(false).boxed(),
        Format::ShareGpt | Format::TrlMessages => conversation(true).boxed(),
        Format::OpenOrca => question().boxed(),
        Format::TrlCompletion => completion(false),
        Format::TrlCompletionChat => completion(true),
        Format::TrlPreference => preference(false),
        Format::TrlPreferenceChat => preference(true),
        Format::TrlUnpaired => unpaired(false),
        Format::TrlUnpairedChat => unpaired(true),
        other => panic!("no examples of {other}"),
    }
}

/// A format with some of its examples.
pub fn format_and_examples() -> impl Strategy<Value = (Format, Vec<Example>)> {
    prop::sample::select(Format::ALL.to_vec()).prop_flat_map(|format| {
        prop::collection::vec(example_of(format), 1..8).prop_map(move |examples| (format, examples))
    })
}

/// One example of each format, always the same.
pub fn fixed_examples(format: Format, count: usize) -> Vec<Example> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = example_of(format);
    (0..count)
        .map(|_| {
            strategy
                .new_tree(&mut runner)
                .expect("an example")
                .current()
        })
        .collect()
}
