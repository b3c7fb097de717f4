//! Values of a table by their keys with dots: `sft.learning_rate`.

use toml::{Table, Value};

/// All values that are no tables, with their keys, in the order of the keys.
pub(crate) fn leaves(table: &Table) -> Vec<(String, &Value)> {
    fn walk<'a>(table: &'a Table, prefix: &str, found: &mut Vec<(String, &'a Value)>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                Value::Table(inner) => walk(inner, &format!("{key}."), found),
                _ => found.push((key, value)),
            }
        }
    }
    let mut found = Vec::new();
    walk(table, "", &mut found);
    found
}

/// Puts a value there, in tables that are made where they are missing.
pub(crate) fn set(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    let (tables, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut inner = table;
    for name in tables.split('.').filter(|name| !name.is_empty()) {
        let next = inner
            .entry(name)
            .or_insert_with(|| Value::Table(Table::new()));
        inner = next
            .as_table_mut()
            .ok_or_else(|| format!("`{name}` is a value, not a table of values"))?;
    }
    inner.insert(last.to_owned(), value);
    Ok(())
}

/// Takes a value or a whole table away. Whether it was there.
pub(crate) fn remove(table: &mut Table, key: &str) -> bool {
    match key.split_once('.') {
        None => table.remove(key).is_some(),
        Some((name, rest)) => match table.get_mut(name) {
            Some(Value::Table(inner)) => remove(inner, rest),
            _ => false,
        },
    }
}

/// Puts all values of another table over those of this one.
pub(crate) fn merge(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// Whether a key is this one or lies in the table that this one names.
pub(crate) fn is_within(key: &str, table: &str) -> bool {
    key.strip_prefix(table)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn values_are_found_set_removed_and_merged_by_their_keys() {
        let mut values = table("a = 1\n[b.c]\nd = [2]\n");
        set(&mut values, "b.e", Value::Boolean(true)).unwrap();
        assert!(set(&mut values, "a.b", Value::Integer(1)).is_err());
        merge(&mut values, table("[b]\nf = 3\n[b.c]\nd = 4\n"));
        let keys: Vec<String> = leaves(&values).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "b.c.d", "b.e", "b.f"]);
        assert!(remove(&mut values, "b.c") && !remove(&mut values, "b.c.d"));
        assert_eq!(values, table("a = 1\n[b]\ne = true\nf = 3\n"));
    }

    #[test]
    fn a_key_lies_in_its_table_and_not_in_one_whose_name_begins_alike() {
        assert!(is_within("data.sft.to", "data.sft") && is_within("data.sft", "data.sft"));
        assert!(!is_within("data.sft_more", "data.sft"));
    }
}
