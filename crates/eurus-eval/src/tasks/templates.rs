//! The templates and expressions of a task, compiled, and what they make of a row.

use std::collections::{BTreeMap, HashSet};

use chat_model::{ChatRequest, Message, Sampling};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, Expression, UndefinedBehavior, Value};
use serde_json::Map;

use super::file::{MessageTemplate, Prompt, Role, TaskFile};
use super::nearest;
use crate::graders::Rules;

/// What a template sees.
pub(super) type Context = BTreeMap<String, Value>;

/// The way prompts are written: nothing is escaped, a name that is not there is an error, strings have Python's methods.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true);
    environment.set_syntax(syntax.build().expect("the delimiters are minijinja's own"));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("integral", integral);
    environment.add_filter("all_numbers", all_numbers);
    environment
}

/// A number without fraction as an integer; any other value as it is.
fn integral(value: Value) -> Value {
    let number = (value.kind() == ValueKind::Number)
        .then(|| f64::try_from(value.clone()).ok())
        .flatten();
    match number {
        // Beyond 2^53 a float says nothing of its last digits.
        Some(number) if number.fract() == 0.0 && number.abs() < 9e15 => Value::from(number as i64),
        _ => value,
    }
}

/// Whether every option of a list such as `A ) 6 , B ) 121` is a number.
fn all_numbers(options: &str) -> bool {
    options.split(" , ").all(|option| {
        let (_, text) = option.split_once(')').unwrap_or(("", option));
        text.trim().replace(',', "").parse::<f64>().is_ok()
    })
}

/// An expression of a task file.
struct Compiled<'e> {
    key: String,
    source: &'e str,
    expression: Expression<'e, 'e>,
}

impl<'e> Compiled<'e> {
    fn new(environment: &'e Environment<'_>, key: String, source: &'e str) -> Result<Self, String> {
        let expression = environment.compile_expression(source);
        Ok(Self {
            expression: expression.map_err(|error| format!("`{key}`: {}", said(&error)))?,
            key,
            source,
        })
    }

    fn value(&self, context: &Context) -> Result<Value, String> {
        self.expression
            .eval(Value::from_pairs(context.clone()))
            .map_err(|error| format!("`{}` ({}): {}", self.key, self.source, said(&error)))
    }

    fn text(&self, context: &Context) -> Result<String, String> {
        let value = self.value(context)?;
        match value.is_undefined() || value.is_none() {
            true => Err(format!("`{}` ({}) is nothing", self.key, self.source)),
            false => Ok(value.to_string()),
        }
    }
}

/// What minijinja says, with the line.
fn said(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(
        || error.kind().to_string(),
        |it| format!("{}: {it}", error.kind()),
    );
    match error.line() {
        Some(line) if line > 1 => format!("{what} (line {line} of it)"),
        _ => what,
    }
}

/// The compiled templates and expressions of a task in one setting.
pub(super) struct Templates<'e> {
    environment: &'e Environment<'e>,
    file: &'e TaskFile,
    prompt: &'e Prompt,
    sampling: Sampling,
    gold: Option<Compiled<'e>>,
    id: Option<Compiled<'e>>,
    groups: Vec<(&'e str, Compiled<'e>)>,
    cluster: Option<Compiled<'e>>,
    shots: Option<Compiled<'e>>,
    later_turns: Option<Compiled<'e>>,
}

const SHOT: &str = "prompt.shots.messages";
const MESSAGE: &str = "prompt.messages";
const RAW: &str = "prompt.raw";
const STOP: &str = "prompt.stops";

/// Puts the templates of a prompt into an environment, by the keys under which they stand in the file.
pub(super) fn add_templates<'e>(
    environment: &mut Environment<'e>,
    prompt: &'e Prompt,
) -> Result<(), String> {
    let shots = prompt.shots.iter().flat_map(|shots| &shots.messages);
    let mut templates: Vec<(String, &'e str)> = Vec::new();
    for (key, messages) in [
        (SHOT, shots.collect::<Vec<_>>()),
        (MESSAGE, prompt.messages.iter().collect()),
    ] {
        let named = messages.into_iter().enumerate();
        templates.extend(named.map(|(at, it)| (format!("{key}[{at}]"), it.content.as_str())));
    }
    templates.extend(prompt.raw.iter().map(|raw| (RAW.to_owned(), raw.as_str())));
    let stops = prompt.stops.iter().enumerate();
    templates.extend(stops.map(|(at, stop)| (format!("{STOP}[{at}]"), stop.as_str())));
    for (name, source) in templates {
        environment
            .add_template_owned(name.clone(), source)
            .map_err(|error| format!("`{name}`: {}", said(&error)))?;
    }
    Ok(())
}

impl<'e> Templates<'e> {
    /// Compiles what a task file has, and checks that all names are those of fields.
    pub fn new(
        environment: &'e Environment<'e>,
        file: &'e TaskFile,
        prompt: &'e Prompt,
        sampling: Sampling,
    ) -> Result<Self, String> {
        let compile = |key: &str, source: &'e str| Compiled::new(environment, key.into(), source);
        let optional = |key: &str, source: &'e Option<String>| {
            source
                .as_deref()
                .map(|source| compile(key, source))
                .transpose()
        };
        let groups = file.groups.iter().map(|(name, source)| {
            Ok::<_, String>((name.as_str(), compile(&format!("groups.{name}"), source)?))
        });
        let templates = Self {
            environment,
            file,
            prompt,
            sampling,
            gold: optional("gold", &file.gold)?,
            id: optional("data.id", &file.data.id)?,
            groups: groups.collect::<Result<_, _>>()?,
            cluster: optional("cluster", &file.cluster)?,
            shots: match &prompt.shots {
                Some(shots) => optional("prompt.shots.from", &shots.from)?,
                None => None,
            },
            later_turns: optional("prompt.later_turns", &prompt.later_turns)?,
        };
        templates.check_names()?;
        Ok(templates)
    }

    fn check_names(&self) -> Result<(), String> {
        let data = &self.file.data;
        let fields = data.fields.iter().chain(&data.optional);
        let mut known: Vec<&str> = fields
            .chain(data.texts.keys())
            .map(String::as_str)
            .collect();
        if data.parts.is_some() {
            known.push(&data.part);
        }
        known.extend(data.join.iter().map(|join| join.field.as_str()));
        let globals: HashSet<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let check = |key: &str, names: HashSet<String>, more: &[&str]| {
            let mut unknown: Vec<&String> = names
                .iter()
                .filter(|name| {
                    let name = name.as_str();
                    !(known.contains(&name) || more.contains(&name) || globals.contains(name))
                })
                .collect();
            unknown.sort();
            match unknown.first() {
                None => Ok(()),
                Some(name) => Err(format!(
                    "`{key}` uses `{name}`, and `data.fields` has no such field; {}",
                    nearest::meant(name, &known)
                )),
            }
        };
        let groups = self.groups.iter().map(|(_, compiled)| compiled);
        let expressions = [
            &self.gold,
            &self.id,
            &self.cluster,
            &self.shots,
            &self.later_turns,
        ];
        for compiled in expressions.into_iter().flatten().chain(groups) {
            let names = compiled.expression.undeclared_variables(false);
            check(&compiled.key, names, &["row", "rules"])?;
        }
        for (name, template) in self.environment.templates() {
            let more: &[&str] = match name.starts_with(SHOT) {
                true => &["row", "rules", "shots", "shot", "index"],
                false => &["row", "rules", "shots"],
            };
            check(name, template.undeclared_variables(false), more)?;
        }
        Ok(())
    }

    /// What templates see of a row.
    pub fn context(
        &self,
        row: &Map<String, serde_json::Value>,
        texts: &BTreeMap<String, Value>,
        shots: &Value,
        rules: Rules,
    ) -> Context {
        let whole = Value::from(Serde(row));
        let mut context: Context = row
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(Serde(value))))
            .collect();
        context.extend(texts.clone());
        context.insert("row".into(), whole);
        context.insert("rules".into(), rules.to_string().into());
        context.insert("shots".into(), shots.clone());
        context
    }

    /// The right answer of a row.
    pub fn gold(
        &self,
        row: &Map<String, serde_json::Value>,
        context: &Context,
    ) -> Result<serde_json::Value, String> {
        let Some(compiled) = &self.gold else {
            return Ok(serde_json::Value::Null);
        };
        let gold = match row.get(compiled.source) {
            Some(field) => field.clone(),
            None => serde_json::to_value(compiled.value(context)?)
                .map_err(|error| format!("`gold` is no value: {error}"))?,
        };
        let is_empty = match &gold {
            serde_json::Value::Null => true,
            serde_json::Value::String(text) => text.trim().is_empty(),
            serde_json::Value::Array(list) => list.is_empty(),
            _ => false,
        };
        match is_empty {
            true => Err(format!(
                "has no right answer: `{}` is empty; fill it in, or leave the row out",
                compiled.source
            )),
            false => Ok(gold),
        }
    }

    /// The identity of a row, where the task says what it is.
    pub fn id(&self, context: &Context) -> Result<Option<String>, String> {
        self.id.as_ref().map(|id| id.text(context)).transpose()
    }

    /// What a row is reported by.
    pub fn groups(&self, context: &Context) -> Result<BTreeMap<String, String>, String> {
        let groups = self.groups.iter();
        groups
            .map(|(name, group)| Ok(((*name).to_owned(), group.text(context)?)))
            .collect()
    }

    /// What a row shares with those that are not independent of it.
    pub fn cluster(&self, context: &Context) -> Result<Option<String>, String> {
        self.cluster.as_ref().map(|it| it.text(context)).transpose()
    }

    /// The later messages of the user.
    pub fn later_turns(&self, context: &Context) -> Result<Vec<String>, String> {
        let Some(turns) = &self.later_turns else {
            return Ok(Vec::new());
        };
        let turns = turns.value(context)?;
        let list = turns
            .try_iter()
            .map_err(|error| format!("`prompt.later_turns` is no list: {}", said(&error)))?;
        Ok(list.map(|turn| turn.to_string()).collect())
    }

    /// What the model is sent for a row.
    pub fn request(&self, context: &mut Context) -> Result<ChatRequest, String> {
        let shots = self.take_shots(context)?;
        let prompt = self.prompt;
        let mut request = match prompt.raw {
            Some(_) => ChatRequest::raw(self.render(RAW, context)?),
            None => {
                let mut messages = self.shot_messages(&shots, context)?;
                messages.extend(self.messages(MESSAGE, &prompt.messages, context)?);
                ChatRequest::new(messages)
            }
        };
        let mut sampling = self.sampling.clone();
        for at in 0..prompt.stops.len() {
            sampling
                .stop
                .push(self.render(&format!("{STOP}[{at}]"), context)?);
        }
        request.answer_prefix.clone_from(&prompt.answer_prefix);
        Ok(request.with_sampling(sampling))
    }

    /// The shots of a row, which templates get as `shots`.
    fn take_shots(&self, context: &mut Context) -> Result<Vec<Value>, String> {
        let Some(wanted) = &self.prompt.shots else {
            return Ok(Vec::new());
        };
        let all = match &self.shots {
            Some(from) => from.value(context)?,
            None => context.get("shots").cloned().unwrap_or_default(),
        };
        let all = all.try_iter();
        let all =
            all.map_err(|error| format!("`prompt.shots.from` is no list: {}", said(&error)))?;
        let shots: Vec<Value> = all.take(wanted.count).collect();
        if shots.len() < wanted.count {
            return Err(format!(
                "has {} examples to be shown before it, where `prompt.shots.count` is {}",
                shots.len(),
                wanted.count
            ));
        }
        context.insert("shots".into(), Value::from(shots.clone()));
        Ok(shots)
    }

    fn shot_messages(&self, shots: &[Value], context: &Context) -> Result<Vec<Message>, String> {
        let Some(wanted) = &self.prompt.shots else {
            return Ok(Vec::new());
        };
        let mut messages = Vec::new();
        let mut context = context.clone();
        for (index, shot) in shots.iter().enumerate() {
            context.insert("shot".into(), shot.clone());
            context.insert("index".into(), index.into());
            messages.extend(self.messages(SHOT, &wanted.messages, &context)?);
        }
        Ok(messages)
    }

    fn messages(
        &self,
        key: &str,
        templates: &[MessageTemplate],
        context: &Context,
    ) -> Result<Vec<Message>, String> {
        let messages = templates.iter().enumerate().map(|(at, template)| {
            let content = self.render(&format!("{key}[{at}]"), context)?;
            Ok(match template.role {
                Role::System => Message::system(content),
                Role::User => Message::user(content),
                Role::Assistant => Message::assistant(content),
            })
        });
        messages.collect()
    }

    fn render(&self, name: &str, context: &Context) -> Result<String, String> {
        let template = self.environment.get_template(name);
        let text =
            template.and_then(|template| template.render(Value::from_pairs(context.clone())));
        text.map_err(|error| format!("`{name}`: {}", said(&error)))
    }
}
