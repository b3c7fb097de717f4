//! All faults of a row that cannot be read as a whole.

use serde_json::Value;

use super::fields::Fields;
use crate::formats::{Format, TrajectoryMessage, check};
use crate::{Error, Message, Task};

/// Every fault of the record, of which `first` is known; only that where the record is no object,
/// or of a format that is not read field by field.
pub(super) fn all_faults(format: Format, record: &[u8], first: Error) -> Vec<Error> {
    let Ok(Value::Object(object)) = serde_json::from_slice(record) else {
        return vec![first];
    };
    let mut fields = Fields::new(&object);
    let mut blank = Vec::new();
    fields.optional::<String>("id");
    fields.optional::<String>("parent_id");
    fields.required::<Task>("task");
    fields.optional::<String>("dataset");
    let texts = match format {
        Format::Pair => ["chosen", "rejected"],
        Format::Sft => ["instruction", "response"],
        _ => return vec![first],
    };
    for name in texts {
        if let Some(text) = fields.required::<String>(name) {
            check::not_blank(name, &text, &mut blank);
        }
    }
    if format == Format::Pair
        && let Some(messages) = fields.list::<TrajectoryMessage>("trajectory")
        // Who should speak is known where every message is.
        && let Some(messages) = messages.into_iter().collect::<Option<Vec<_>>>()
    {
        let messages: Vec<Message> = messages.into_iter().map(Message::from).collect();
        check::trajectory(&messages, &mut blank);
    }
    let mut found = fields.found;
    found.extend(blank);
    match found.is_empty() {
        true => vec![first],
        false => found,
    }
}
