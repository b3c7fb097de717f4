//! The `openai` package for Python, which most programs ask with.

use std::process::Command;

use test_support::{python_with, skip};

use crate::common::TestServer;

/// The package and what it needs, since packages are installed by name alone.
const PACKAGES: [&str; 15] = [
    "openai==1.109.1",
    "httpx==0.28.1",
    "httpcore==1.0.9",
    "h11==0.16.0",
    "anyio==4.11.0",
    "sniffio==1.3.1",
    "idna==3.10",
    "certifi==2025.8.3",
    "distro==1.9.0",
    "jiter==0.11.0",
    "tqdm==4.67.1",
    "typing_extensions==4.15.0",
    "typing-inspection==0.4.1",
    "annotated-types==0.7.0",
    "pydantic==2.11.9",
];

const CORE: &str = "pydantic_core==2.33.2";

const SCRIPT: &str = r#"
import sys
from openai import OpenAI, AuthenticationError, BadRequestError, NotFoundError

client = OpenAI(base_url=sys.argv[1], api_key="key", max_retries=0)
assert [model.id for model in client.models.list()] == ["tiny"]
messages = [{"role": "user", "content": "one two"}]
settings = {"model": "tiny", "messages": messages, "seed": 7, "max_tokens": 24}

# n, and seeds
whole = client.chat.completions.create(n=20, **settings)
assert len(whole.choices) == 20 and len({choice.message.content for choice in whole.choices}) > 10
again = client.chat.completions.create(n=20, **settings)
texts = [choice.message.content for choice in whole.choices]
assert [choice.message.content for choice in again.choices] == texts
other = client.chat.completions.create(n=20, **{**settings, "seed": 8})
assert [choice.message.content for choice in other.choices] != texts
assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens

# streaming
pieces, ends, usage = [""] * 3, [None] * 3, None
options = {"include_usage": True}
for chunk in client.chat.completions.create(n=3, stream=True, stream_options=options, **settings):
    usage = chunk.usage or usage
    for choice in chunk.choices:
        pieces[choice.index] += choice.delta.content or ""
        ends[choice.index] = choice.finish_reason or ends[choice.index]
assert pieces == texts[:3], (pieces, texts[:3])
assert ends == [choice.finish_reason for choice in whole.choices[:3]]
assert usage.completion_tokens > 0

# stop
first = texts[0]
stop = first[len(first) // 2]
cut = client.chat.completions.create(stop=[stop], **settings).choices[0]
assert cut.message.content == first[: first.index(stop)] and cut.finish_reason == "stop"

# logprobs
scored = client.chat.completions.create(logprobs=True, top_logprobs=2, **settings).choices[0]
assert scored.message.content == first
assert scored.logprobs.content and all(token.logprob <= 0 for token in scored.logprobs.content)
assert all(len(token.top_logprobs) == 2 for token in scored.logprobs.content)

# completions
text = client.completions.create(model="tiny", prompt="one two", max_tokens=5, echo=True, logprobs=1)
assert text.choices[0].text.startswith("one two")
assert text.choices[0].logprobs.token_logprobs[0] is None
streamed = client.completions.create(model="tiny", prompt="one two", max_tokens=5, seed=1, stream=True)
streamed = "".join(chunk.choices[0].text for chunk in streamed)
assert streamed == client.completions.create(model="tiny", prompt="one two", max_tokens=5, seed=1).choices[0].text

# errors
for kind, wrong in [
    (BadRequestError, {"tools": [{"type": "function", "function": {"name": "f"}}]}),
    (BadRequestError, {"n": 0}),
    (NotFoundError, {"model": "other"}),
]:
    try:
        client.chat.completions.create(**{**settings, **wrong})
    except kind as error:
        assert error.body["message"]
    else:
        raise AssertionError(wrong)
try:
    OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).models.list()
except AuthenticationError as error:
    assert error.body["code"] == "invalid_api_key"
else:
    raise AssertionError("a wrong key")
print("done")
"#;

#[test]
fn the_package_streams_draws_twenty_stops_repeats_and_scores() {
    let packages = [&PACKAGES[..], &[CORE]].concat();
    let python = match python_with("openai-package", &packages) {
        Ok(python) => python,
        Err(problem) => return skip(format!("no `openai` package: {problem}")),
    };
    let server = TestServer::of(crate::common::model(), |config| {
        config.api_key = Some("key".to_owned());
    });
    let output = Command::new(python)
        .args(["-c", SCRIPT, &server.url()])
        .env_remove("OPENAI_BASE_URL")
        .env("NO_PROXY", "*")
        .output()
        .expect("python runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "done");
}
