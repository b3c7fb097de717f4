//! From files to items.

use std::collections::{BTreeMap, HashMap};

use minijinja::Value;
use minijinja::value::Serde;

use super::file::Data;
use super::items::{BadItem, Item};
use super::place::Files;
use super::rows;
use super::templates::Templates;
use crate::graders::Rules;
use crate::{Error, Result};

type Row = serde_json::Map<String, serde_json::Value>;

/// What makes items of files.
pub(super) struct Reader<'a> {
    pub data: &'a Data,
    pub files: &'a Files,
    pub templates: Templates<'a>,
    pub rules: Rules,
}

/// What the rows of a part have in common.
struct Part<'a> {
    name: Option<&'a str>,
    texts: BTreeMap<String, Value>,
    shots: Value,
}

impl Reader<'_> {
    /// All items, and the rows that are none.
    pub fn items(&self) -> Result<(Vec<Item>, Vec<BadItem>)> {
        let (mut items, mut bad) = (Vec::new(), Vec::new());
        let joined = self.joined()?;
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (file, part, bytes) in self.files.with_rows(self.data.parts.as_deref()) {
            let fault = |problem| Error::DataFile {
                path: file.into(),
                problem,
            };
            let rows = rows::rows(self.data, bytes, self.rules).map_err(fault)?;
            let part = self.part(part).map_err(fault)?;
            let mut index = 0;
            for row in rows {
                let number = row.number;
                let item = row.row.and_then(|mut fields| {
                    if let Some(name) = part.name {
                        fields.insert(self.data.part.clone(), name.into());
                    }
                    if !self.is_wanted(&fields) {
                        return Ok(None);
                    }
                    if let Some(join) = &self.data.join {
                        let other = fields
                            .get(&join.on)
                            .and_then(|key| joined.get(&key.to_string()));
                        fields.insert(join.field.clone(), other.cloned().unwrap_or_default());
                    }
                    index += 1;
                    self.item(fields, &part, index - 1).map(Some)
                });
                let item = item.and_then(|item| match item {
                    Some(item) => match seen.insert(item.id.clone(), number) {
                        Some(before) => Err(format!(
                            "has the id `{}` of row {before}; ids tell answers apart, give it another or leave the row out",
                            item.id
                        )),
                        None => Ok(Some(item)),
                    },
                    None => Ok(None),
                });
                match item {
                    Ok(item) => items.extend(item),
                    Err(problem) => bad.push(BadItem {
                        file: file.to_owned(),
                        row: number,
                        problem,
                    }),
                }
            }
        }
        Ok((items, bad))
    }

    /// The rows of the file that is joined, by what they are joined on.
    fn joined(&self) -> Result<HashMap<String, serde_json::Value>> {
        let Some(join) = &self.data.join else {
            return Ok(HashMap::new());
        };
        let Some((file, bytes)) = self.files.of_part(&join.file, None) else {
            return Ok(HashMap::new());
        };
        let rows = rows::plain(bytes).map_err(|problem| Error::DataFile {
            path: file.into(),
            problem,
        })?;
        let rows = rows.into_iter().filter_map(|row| row.row.ok());
        let keyed = rows.filter_map(|row| Some((row.get(&join.on)?.to_string(), row.into())));
        Ok(keyed.collect())
    }

    fn is_wanted(&self, row: &Row) -> bool {
        self.data.only.iter().all(|(field, wanted)| {
            let text = row.get(field).and_then(serde_json::Value::as_str);
            text.is_some_and(|text| wanted.iter().any(|wanted| wanted == text))
        })
    }

    fn part<'a>(&self, name: Option<&'a str>) -> Result<Part<'a>, String> {
        let lacking = |pattern: &str| format!("there is no {pattern} that belongs to it");
        let mut texts = BTreeMap::new();
        for (text, pattern) in &self.data.texts {
            let (_, bytes) = self
                .files
                .of_part(pattern, name)
                .ok_or_else(|| lacking(pattern))?;
            let content = String::from_utf8_lossy(bytes).into_owned();
            texts.insert(text.clone(), content.into());
        }
        let shots = match &self.data.shots {
            None => Vec::new(),
            Some(pattern) => {
                let (file, bytes) = self
                    .files
                    .of_part(pattern, name)
                    .ok_or_else(|| lacking(pattern))?;
                let rows = rows::rows(self.data, bytes, self.rules)
                    .map_err(|problem| format!("{file} {problem}"))?;
                let rows = rows
                    .into_iter()
                    .map(|row| row.row.map(|row| Value::from(Serde(&row))));
                rows.collect::<Result<Vec<_>, _>>()
                    .map_err(|problem| format!("a row of {file} {problem}"))?
            }
        };
        Ok(Part {
            name,
            texts,
            shots: shots.into(),
        })
    }

    fn item(&self, row: Row, part: &Part<'_>, index: usize) -> Result<Item, String> {
        let templates = &self.templates;
        let mut context = templates.context(&row, &part.texts, &part.shots, self.rules);
        let id = match (templates.id(&context)?, part.name) {
            (Some(id), _) => id,
            (None, Some(part)) => format!("{part}[{index}]"),
            (None, None) => index.to_string(),
        };
        Ok(Item {
            id,
            gold: templates.gold(&row, &context)?,
            groups: templates.groups(&context)?,
            cluster: templates.cluster(&context)?,
            later_turns: templates.later_turns(&context)?,
            request: templates.request(&mut context)?,
            row,
        })
    }
}
