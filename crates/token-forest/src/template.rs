//! Chat templates, rendered as Python's `transformers` renders them.

use std::collections::BTreeMap;

use chrono::{DateTime, Local, NaiveDateTime};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Value};
use serde::Serialize;

use crate::{Error, Message, Result, Role, ToolCall};

/// A compiled chat template.
///
/// The environment is the one that `transformers` gives templates: blocks are trimmed, nothing is escaped,
/// `raise_exception`, `strftime_now`, loop controls and a plain `tojson` are there, strings have Python's
/// methods, and `{% generation %}` blocks render as their body. Special tokens are variables (`eos_token`),
/// `tools` and `documents` are none.
///
/// ```
/// use token_forest::{Message, ChatTemplate};
///
/// # fn main() -> token_forest::Result<()> {
/// let source = "{% for m in messages %}<{{ m.role }}>{{ m.content.strip() }}{{ eos_token }}{% endfor %}\
///               {% if add_generation_prompt %}<assistant>{% endif %}";
/// let tokens = [("eos_token".to_string(), "</s>".to_string())];
/// let template = ChatTemplate::new("example", source, tokens.into())?;
/// let text = template.render(&[Message::user(" 1 + 1? ")], true)?;
/// assert_eq!(text, "<user>1 + 1?</s><assistant>");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    name: String,
    environment: Environment<'static>,
    special_tokens: BTreeMap<String, String>,
    /// What `strftime_now` gives.
    time: NaiveDateTime,
    uses_time: bool,
    /// Whether it has a way of its own with messages of the developer.
    names_developer: bool,
}

/// The one template of the environment; a name without an extension that would mean escaping.
const ENTRY: &str = "chat_template";

impl ChatTemplate {
    /// Compiles a template. `name` says where it came from, for errors; `special_tokens` maps variables such
    /// as `bos_token` to their text.
    ///
    /// # Errors
    ///
    /// When the source is not a valid template.
    pub fn new(
        name: impl Into<String>,
        source: &str,
        special_tokens: BTreeMap<String, String>,
    ) -> Result<Self> {
        // One instant for the life of the template: two renderings of a history must agree.
        let time = Local::now().naive_local();
        let mut template = Self {
            name: name.into(),
            environment: environment(),
            special_tokens,
            time,
            uses_time: false,
            names_developer: false,
        };
        set_clock(&mut template.environment, time);
        template.set_source(source)?;
        Ok(template)
    }

    /// Sets the time that `strftime_now` gives to the template: seconds since 1970, UTC.
    ///
    /// Without it, it is the local time at which the template was compiled. Templates that write the date
    /// into the prompt give the same tokens tomorrow only with a fixed time.
    #[must_use]
    pub fn with_time(mut self, unix_seconds: i64) -> Self {
        let time = DateTime::from_timestamp(unix_seconds, 0).unwrap_or_default();
        self.time = time.naive_utc();
        set_clock(&mut self.environment, self.time);
        self
    }

    /// The time that `strftime_now` gives, for [`with_time`](Self::with_time) of another day: seconds from the beginning of
    /// 1970 on the template's own clock, whatever its time zone.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.time.and_utc().timestamp()
    }

    /// Whether the template asks for the time: then its prompts are others on another day.
    #[must_use]
    pub fn uses_time(&self) -> bool {
        self.uses_time
    }

    /// The template with another source, for the same tokenizer and at the same time.
    pub(crate) fn with_source(&self, name: String, source: &str) -> Result<Self> {
        let mut template = self.clone();
        template.name = name;
        template.set_source(source)?;
        Ok(template)
    }

    /// Whether a message of this role is written as the system's: the template does not name the role.
    pub(crate) fn writes_as_system(&self, role: Role) -> bool {
        role == Role::Developer && !self.names_developer
    }

    fn set_source(&mut self, source: &str) -> Result<()> {
        self.uses_time = source.contains("strftime_now");
        self.names_developer = source.contains("developer");
        self.environment
            .add_template_owned(ENTRY, without_generation_tags(source))
            .map_err(|e| Error::TemplateSyntax {
                template: self.name.clone(),
                line: e.line().unwrap_or(0),
                reason: reason(&e),
            })
    }

    /// Where the template came from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of a conversation, with the header of an assistant turn at its end if asked.
    ///
    /// # Errors
    ///
    /// When the template refuses the conversation (`raise_exception`) or fails on it.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let failed = |e: minijinja::Error| Error::TemplateRender {
            template: self.name.clone(),
            line: e.line().unwrap_or(0),
            messages: messages.len(),
            reason: reason(&e),
        };
        let mut context = BTreeMap::from([
            (
                "messages",
                messages
                    .iter()
                    .map(|it| self.message(it))
                    .collect::<Value>(),
            ),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
        ]);
        for (variable, token) in &self.special_tokens {
            context.insert(variable, Value::from(token.as_str()));
        }
        let template = self.environment.get_template(ENTRY).map_err(failed)?;
        template.render(Value::from_pairs(context)).map_err(failed)
    }

    /// A message as templates see it: what is not set is not there.
    fn message(&self, message: &Message) -> Value {
        let role = match self.writes_as_system(message.role) {
            true => Role::System,
            false => message.role,
        };
        let mut fields = vec![
            ("role", Value::from(role.as_str())),
            ("content", Value::from(message.content.as_str())),
        ];
        if let Some(beside) = &message.beside {
            let texts = [
                ("name", &beside.name),
                ("reasoning_content", &beside.reasoning_content),
                ("tool_call_id", &beside.tool_call_id),
            ];
            let set = texts.into_iter().filter_map(|(name, text)| {
                let text = text.as_deref()?;
                Some((name, Value::from(text)))
            });
            fields.extend(set);
            if !beside.tool_calls.is_empty() {
                let calls = beside.tool_calls.iter().map(tool_call);
                fields.push(("tool_calls", calls.collect()));
            }
        }
        Value::from_pairs(fields)
    }
}

/// A call as templates see it: arguments are an object, whose names keep their order.
fn tool_call(call: &ToolCall) -> Value {
    let object = serde_json::from_str::<Value>(&call.arguments).ok();
    let object = object.filter(|it| it.kind() == ValueKind::Map);
    let arguments = object.unwrap_or_else(|| Value::from(call.arguments.as_str()));
    let function = Value::from_pairs([
        ("name", Value::from(call.name.as_str())),
        ("arguments", arguments),
    ]);
    let id = call.id.as_deref().map(|id| ("id", Value::from(id)));
    let others = [("type", Value::from("function")), ("function", function)];
    Value::from_pairs(id.into_iter().chain(others))
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()
        .expect("jinja's own delimiters do not clash");
    environment.set_syntax(syntax);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| {
        Err::<Value, _>(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_filter("tojson", tojson);
    environment
}

fn set_clock(environment: &mut Environment<'static>, now: NaiveDateTime) {
    environment.add_function("strftime_now", move |format: String| {
        use std::fmt::Write as _;
        let mut text = String::new();
        write!(text, "{}", now.format(&format)).map_err(|_| {
            minijinja::Error::new(
                ErrorKind::InvalidOperation,
                format!("strftime_now does not know the format {format:?}"),
            )
        })?;
        Ok::<_, minijinja::Error>(text)
    });
}

/// `json.dumps(x, ensure_ascii=False, indent=indent)`; the engine's own filter escapes HTML characters.
fn tojson(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            "tojson(ensure_ascii=true) is not supported",
        ));
    }
    options.assert_all_used()?;
    let json = match indent {
        Some(width) => {
            let indent = vec![b' '; width];
            to_json_with(
                value,
                serde_json::ser::PrettyFormatter::with_indent(&indent),
            )
        }
        None => to_json_with(value, SpacedFormatter),
    };
    json.map_err(|e| minijinja::Error::new(ErrorKind::BadSerialization, e.to_string()))
}

fn to_json_with(
    value: &Value,
    formatter: impl serde_json::ser::Formatter,
) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, formatter,
    ))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// One line with a space after `,` and `:`, as Python writes JSON.
struct SpacedFormatter;

impl serde_json::ser::Formatter for SpacedFormatter {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        out: &mut W,
    ) -> std::io::Result<()> {
        out.write_all(b": ")
    }
}

/// Turns `{% generation %}` and `{% endgeneration %}`, which mark assistant text for `transformers` and render
/// as nothing, into an `if` that is always taken; whitespace control is kept.
fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        out.push_str(before);
        // `{%}` opens a tag and does not close it.
        let Some((inner, after)) = tag[2..].split_once("%}") else {
            rest = tag;
            break;
        };
        let word = inner.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let replacement = match word {
            "generation" => "if true",
            "endgeneration" => "endif",
            other => other,
        };
        out.push_str("{%");
        out.push_str(&inner.replacen(word, replacement, usize::from(replacement != word)));
        out.push_str("%}");
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The message of an engine error, without the engine's kind where a template spoke for itself.
fn reason(error: &minijinja::Error) -> String {
    error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message]) -> Result<String> {
        ChatTemplate::new("test", source, BTreeMap::new())?.render(messages, false)
    }

    #[test]
    fn blocks_are_trimmed_and_their_indentation_stripped() {
        let source = "{% for m in messages %}\n    {% if true %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\n";
        let messages = [Message::user("a"), Message::user("b")];
        assert_eq!(render(source, &messages).unwrap(), "a\nb\n");
    }

    #[test]
    fn generation_tags_render_as_their_body() {
        let source =
            "{%- generation -%}  a {%- endgeneration %}|{% generation %}\nb{% endgeneration %}";
        assert_eq!(render(source, &[]).unwrap(), "a|b");
    }

    #[test]
    fn loop_controls_and_python_methods_are_there() {
        let source = "{% for m in messages %}{% if m.content.startswith('x') %}{% continue %}{% endif %}\
                      {{ m['content'].split('|')[-1].upper() }}{% break %}{% endfor %}";
        let messages = ["x", "a|b", "c"].map(Message::user);
        assert_eq!(render(source, &messages).unwrap(), "B");
    }

    #[test]
    fn tojson_writes_what_python_writes() {
        let source = "{{ [1, 'é<', {'a': none}] | tojson }}{{ {'a': [1]} | tojson(indent=2) }}";
        assert_eq!(
            render(source, &[]).unwrap(),
            "[1, \"é<\", {\"a\": null}]{\n  \"a\": [\n    1\n  ]\n}"
        );
    }

    #[test]
    fn a_message_is_a_map_that_python_templates_can_query() {
        let source =
            "{{ messages[0] | tojson }}{{ 'tool_calls' in messages[0] }}{{ messages[0].get('x') }}";
        assert_eq!(
            render(source, &[Message::user("q")]).unwrap(),
            "{\"role\": \"user\", \"content\": \"q\"}FalseNone"
        );
    }

    #[test]
    fn raise_exception_reaches_the_caller_with_its_words() {
        let error = render("\n{{ raise_exception('roles must alternate') }}", &[]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "chat template test, line 2, cannot render a conversation of 0 messages: roles must alternate"
        );
    }

    #[test]
    fn a_syntax_error_names_the_template_and_the_line() {
        let error = render("a\n{% for %}", &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("chat template test, line 2: "),
            "{error}"
        );
    }

    #[test]
    fn the_clock_stands_still_and_can_be_set() {
        let source = "{{ strftime_now('%d %b %Y %H:%M:%S') }}";
        let now = ChatTemplate::new("test", source, BTreeMap::new()).unwrap();
        let time = now.time();
        assert!(now.uses_time());
        let text = now.render(&[], false).unwrap();
        assert_eq!(now.with_time(time).render(&[], false).unwrap(), text);
        let template =
            ChatTemplate::new("test", "{{ strftime_now('%d %b %Y') }}", BTreeMap::new()).unwrap();
        let text = template
            .with_time(1_712_016_000)
            .render(&[], false)
            .unwrap();
        assert_eq!(text, "02 Apr 2024");
    }

    #[test]
    fn an_unknown_time_format_is_an_error() {
        assert!(render("{{ strftime_now('%Q') }}", &[]).is_err());
    }
}
