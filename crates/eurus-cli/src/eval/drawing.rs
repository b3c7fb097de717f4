//! Drawing the answers to a task.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use eurus::chat::{ChatRequest, Sampling};
use eurus::eval::runs::{
    Conversation, DataStamp, Episodes, ModelStamp, Partner, Questions, RunFolder, RunRecord,
    SettingStamp, TaskStamp, lead, sha256,
};
use eurus::eval::samples::{Drawn, PromptToAnswer, SampleFile, prompt_seed};
use eurus::eval::tasks::{Grader, Item, Items, Task};
use eurus::forest::{ChatTokenizer, Message};
use serde_json::json;

use super::sent::Sent;
use crate::generate::{Opened, draw_shown, shown};
use crate::interrupt;

/// One setting of a task with what is asked in it.
pub struct Asked {
    pub task: Task,
    pub items: Items,
    pub prompts: Vec<PromptToAnswer>,
    /// Items of the data, asked or not.
    pub available: usize,
    /// How often the token that begins a text stands at the start of the first prompt.
    pub bos: Option<usize>,
}

impl Asked {
    /// The name of the setting, also of the only one.
    pub fn name(&self) -> &str {
        self.task.setting().unwrap_or("answers")
    }
}

/// How often, and from which seed.
#[derive(Debug, Clone, Copy)]
pub struct Draws {
    pub samples: usize,
    pub seed: u64,
    pub limit: Option<usize>,
}

/// What is asked in a setting. A model in this process is sent the text that its tokenizer makes of a request.
pub fn asked(
    task: Task,
    mut items: Items,
    tokenizer: Option<&ChatTokenizer>,
    draws: Draws,
) -> Result<Asked> {
    let available = items.items.len();
    items.items.truncate(draws.limit.unwrap_or(usize::MAX));
    let mut bos = None;
    let mut prompts = Vec::with_capacity(items.items.len());
    for item in &items.items {
        let mut request = match tokenizer {
            None => item.request.clone(),
            Some(tokenizer) => {
                let sent = Sent::new(item, task.prompt().bos, tokenizer)
                    .with_context(|| format!("item {} of {}", item.id, task.name()))?;
                bos = bos.or(sent.bos.as_ref().map(|(_, count)| *count));
                local_request(item, &task, &sent)
            }
        };
        request.samples = draws.samples;
        request.sampling.seed = prompt_seed(draws.seed, &item.id);
        prompts.push(PromptToAnswer {
            id: item.id.clone(),
            request,
        });
    }
    Ok(Asked {
        task,
        items,
        prompts,
        available,
        bos,
    })
}

/// What a model in this process is asked: where the token that begins a text is to stand twice, the template's text as a raw
/// prompt, which the tokenizer begins once more.
fn local_request(item: &Item, task: &Task, sent: &Sent) -> ChatRequest {
    use eurus::eval::tasks::Bos;
    let raw = item.request.raw_prompt.is_some();
    match task.prompt().bos {
        Bos::Twice if !raw => ChatRequest {
            sampling: item.request.sampling.clone(),
            ..ChatRequest::raw(&sent.text)
        },
        _ if sent.without_system => item.request_without_system(),
        _ => item.request.clone(),
    }
}

/// All that the answers depend on.
pub fn record(
    asked: &[Asked],
    file: Option<PathBuf>,
    model: &str,
    opened: &Opened,
    draws: Draws,
) -> Result<RunRecord> {
    let first = asked.first().context("a task has a setting")?;
    let settings = asked.iter().map(|it| {
        let texts = it
            .prompts
            .iter()
            .map(|prompt| json!(prompt.request).to_string());
        let sampling = it.prompts.first().map(|prompt| &prompt.request.sampling);
        SettingStamp {
            name: it.name().to_owned(),
            prompts_sha256: sha256(texts),
            bos: it.bos,
            sampling: Sampling {
                seed: draws.seed,
                ..sampling.cloned().unwrap_or_default()
            },
        }
    });
    Ok(RunRecord {
        eurus: env!("CARGO_PKG_VERSION").to_owned(),
        task: TaskStamp {
            name: first.task.name().to_owned(),
            version: first.task.file().version,
            sha256: first.task.sha256().to_owned(),
            file,
        },
        data: DataStamp {
            sha256: first.items.sha256.clone(),
            items: first.available,
            published: first.items.published,
        },
        model: ModelStamp {
            name: model.to_owned(),
            identity: opened.identity.clone(),
            template_sha256: opened.tokenizer.as_ref().and_then(template_sha256),
        },
        settings: settings.collect(),
        samples: draws.samples,
        seed: draws.seed,
        limit: draws.limit,
    })
}

/// Of what a chat template makes of a short conversation.
fn template_sha256(tokenizer: &ChatTokenizer) -> Option<String> {
    let messages = [
        Message::user("one"),
        Message::assistant("two"),
        Message::user("three"),
    ];
    Some(sha256([tokenizer.prompt_text(&messages).ok()?]))
}

/// Draws the answers that a setting lacks. Nothing when it was interrupted.
pub fn draw(
    folder: &RunFolder,
    asked: &Asked,
    opened: &Opened,
    episodes: Option<&Episodes>,
) -> Result<Option<Drawn>> {
    folder.write_items(asked.name(), &asked.items.items)?;
    for prompt in &asked.prompts {
        prompt.request.check(&*opened.model)?;
    }
    let mut settings = json!({
        "model": opened.identity,
        "prompts": sha256(asked.prompts.iter().map(|it| json!(it.request).to_string())),
    });
    // They say when an episode ends, and so what is answered.
    if let Some(episodes) = episodes {
        settings["rules"] = json!(episodes.rules);
    }
    let mut file = SampleFile::open(folder.answers(asked.name()), &settings)?;
    let began = Instant::now();
    let drawn = match asked.task.grader() {
        Grader::Mint {} | Grader::Judge {} => lead_shown(asked, opened, &mut file, episodes)?,
        _ => draw_shown(&*opened.model, &asked.prompts, &mut file, asked.name())?,
    };
    let at = SystemTime::now().duration_since(UNIX_EPOCH);
    folder.add_times(&json!({
        "setting": asked.name(),
        "at_unix_seconds": at.map_or(0, |it| it.as_secs()),
        "seconds": began.elapsed().as_secs_f64(),
        "answers": drawn.new,
        "tokens": drawn.new_tokens,
    }))?;
    // Asked for at the last answer, too.
    if drawn.stopped || interrupt::answers_stop().load(Ordering::Relaxed) {
        return Ok(None);
    }
    file.finish(&asked.prompts)?;
    let failed = drawn.failed.iter();
    let reasons: HashMap<String, String> = failed
        .map(|it| (it.id.clone(), it.reason.clone()))
        .collect();
    folder.write_unanswered(asked.name(), &reasons)?;
    Ok(Some(drawn))
}

/// Episodes are led at once as many as there are sessions of Python that a machine has room for.
const EPISODES_AT_ONCE: usize = 32;
/// A list of questions takes no room.
const QUESTIONS_AT_ONCE: usize = 1024;

/// Leads the conversations that a setting lacks.
fn lead_shown(
    asked: &Asked,
    opened: &Opened,
    file: &mut SampleFile,
    episodes: Option<&Episodes>,
) -> Result<Drawn> {
    let items = &asked.items.items;
    // Conversations grow by messages, of which the text for a model in this process is made turn by turn.
    let prompts = asked.prompts.iter().zip(items).map(|(prompt, item)| {
        let mut request = item.request.clone();
        request.samples = prompt.request.samples;
        request.sampling.seed = prompt.request.sampling.seed;
        let id = prompt.id.clone();
        PromptToAnswer { id, request }
    });
    let prompts: Vec<PromptToAnswer> = prompts.collect();
    let partner = |place: usize| -> eurus::eval::Result<Box<dyn Partner>> {
        match episodes {
            Some(episodes) => episodes.partner(&items[place]),
            None => Ok(Box::new(Questions::of(&items[place]))),
        }
    };
    let sent = |place: usize, request: ChatRequest| match &opened.tokenizer {
        None => Ok(request),
        Some(tokenizer) => {
            let (samples, sampling) = (request.samples, request.sampling.clone());
            let item = Item {
                request,
                ..items[place].clone()
            };
            let sent = Sent::new(&item, asked.task.prompt().bos, tokenizer);
            let sent = sent.map_err(|error| format!("{error:#}"))?;
            let mut request = local_request(&item, &asked.task, &sent);
            request.samples = samples;
            request.sampling = sampling;
            Ok(request)
        }
    };
    let conversation = Conversation {
        partner: &partner,
        sent: &sent,
        at_once: match episodes {
            Some(_) => EPISODES_AT_ONCE,
            None => QUESTIONS_AT_ONCE,
        },
    };
    shown(&prompts, asked.name(), |observe| {
        lead(&*opened.model, &prompts, file, &conversation, observe)
    })
}
