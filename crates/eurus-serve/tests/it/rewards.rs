//! A reward model that is served.

use eurus_models::{ForestBatch, ForestRewardModel, int_tensor};
use eurus_serve::Served;
use serde_json::{Value, json};
use token_forest::{Message, PackedForest, TokenTree};

use crate::common::{TestServer, reward_model};

const REWARD: &str = "/get_reward";

/// Conversations as the chat template spells them, and their rewards by the model itself, each alone.
fn rendered() -> (Vec<String>, Vec<f32>) {
    let served = reward_model();
    let device = burn::tensor::Device::flex();
    let answers = ["three", "four four four", "größer ≥ 🙂"];
    let mut texts = Vec::new();
    let mut rewards = Vec::new();
    for answer in answers {
        let messages = [Message::user("one two"), Message::assistant(answer)];
        let prompt = served.tokenizer.prompt_text(&messages[..1]).expect("text");
        let text = format!("{prompt}{answer}{}", served.tokenizer.eos());
        let mut tokens = served
            .tokenizer
            .encode_prompt(&messages[..1])
            .expect("tokens");
        let after = served.tokenizer.encode_continuation(&prompt, answer);
        tokens.extend(after.expect("tokens"));
        tokens.push(served.tokenizer.eos_id());
        let forest = PackedForest::from_trees([&TokenTree::new(tokens, false)]).expect("a forest");
        let end = int_tensor(&[forest.end_of(0)], &device);
        let batch = ForestBatch::new(forest, &device);
        let reward: Vec<f32> = served
            .model
            .rewards(&batch, end)
            .into_data()
            .iter()
            .collect();
        texts.push(text);
        rewards.extend(reward);
    }
    (texts, rewards)
}

fn server() -> TestServer {
    TestServer::serving(Served::Reward(Box::new(reward_model())), |_| {})
}

fn rewards_of(answer: &Value) -> Vec<f64> {
    let list = answer["rewards"].as_array().expect("rewards");
    list.iter().filter_map(Value::as_f64).collect()
}

#[test]
fn rewards_are_those_of_the_model_in_the_order_of_the_texts() {
    let server = server();
    let (texts, wanted) = rendered();
    let answer = server.ask(
        REWARD,
        &json!({"query": texts, "prompts": ["a", "b", "c"], "labels": null}),
    );
    assert_eq!(answer["scores"], answer["rewards"]);
    assert_eq!(answer["extra_logs"], json!({}));
    let got = rewards_of(&answer);
    assert_eq!(got.len(), wanted.len());
    for (got, wanted) in got.iter().zip(&wanted) {
        assert!((got - f64::from(*wanted)).abs() < 1e-4, "{got} {wanted}");
    }
    assert!(wanted.windows(2).all(|it| it[0] != it[1]), "{wanted:?}");
    // The end of the answer may be missing, and one text needs no list.
    let eos = reward_model().tokenizer.eos().to_owned();
    let open = texts[1].strip_suffix(&eos).expect("it ends");
    let one = rewards_of(&server.ask(REWARD, &json!({"query": open})));
    assert!((one[0] - got[1]).abs() < 1e-5);
}

#[test]
fn what_cannot_be_scored_is_named() {
    let server = server();
    for (body, param, says) in [
        (json!({}), "query", "missing"),
        (json!({"query": 3}), "query", "list of texts"),
        (json!({"query": ["a", null]}), "query", "list of texts"),
        (
            json!({"query": ["a", "one ".repeat(9000)]}),
            "query[1]",
            "maximum context length",
        ),
        (json!({"query": ["a"], "quary": 1}), "quary", "`query`"),
    ] {
        let (status, answer) = server.post(REWARD, &body);
        assert_eq!(
            (status, &answer["error"]["param"]),
            (400, &json!(param)),
            "{answer}"
        );
        assert!(answer.to_string().contains(says), "{answer}");
    }
    assert!(rewards_of(&server.ask(REWARD, &json!({"query": []}))).is_empty());
    let chat = json!({"model": "tiny", "messages": [{"role": "user", "content": "one"}]});
    let (status, answer) = server.post("/v1/chat/completions", &chat);
    assert_eq!(status, 404);
    assert!(answer.to_string().contains("/get_reward"), "{answer}");
}

#[test]
fn many_at_once_get_what_each_gets_alone() {
    let server = server();
    let (texts, _) = rendered();
    let alone: Vec<Vec<f64>> = texts
        .iter()
        .map(|text| rewards_of(&server.ask(REWARD, &json!({"query": [text]}))))
        .collect();
    std::thread::scope(|scope| {
        for (text, alone) in texts.iter().zip(&alone).cycle().take(12) {
            let server = &server;
            scope.spawn(move || {
                let together = rewards_of(&server.ask(REWARD, &json!({"query": [text]})));
                assert!((together[0] - alone[0]).abs() < 1e-4);
            });
        }
    });
}
