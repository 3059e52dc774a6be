//! Several descriptions of one thing become one: later files over earlier ones, a service over the one
//! that it extends. Source: compose-spec `13-merge.md`, compose-go `override/merge.go`.

use std::sync::Arc;

use super::yaml::{Entry, MergeTag, Node, Shape, Value};

/// `base` with `over` on it. `key` is the name under which both stand.
pub(super) fn merge(base: &Arc<Node>, over: &Arc<Node>, key: &str) -> Arc<Node> {
    if over.tag == Some(MergeTag::Override) {
        return Arc::clone(over);
    }
    if over.is_null() {
        return Arc::clone(base);
    }
    let value = match (&base.value, &over.value) {
        (Value::Map(_) | Value::List(_), Value::Map(_) | Value::List(_)) if is_keyed(key) => {
            Value::Map(union(&keyed(base, key), &keyed(over, key)))
        }
        (Value::Map(base), Value::Map(over)) => Value::Map(union(base, over)),
        (Value::List(base), Value::List(over)) if !is_replaced(key) => {
            Value::List(base.iter().chain(over).map(Arc::clone).collect())
        }
        _ => return Arc::clone(over),
    };
    // What is added goes where the first file has it.
    Arc::new(Node { value, at: base.at, shape: base.shape, tag: None })
}

/// The entries of what may be written as a map or as a list, such as `environment`. An entry of a
/// list stands where its value does.
pub(super) fn keyed(node: &Node, key: &str) -> Vec<Entry> {
    let items = match &node.value {
        Value::Map(entries) => return entries.clone(),
        Value::List(items) => items,
        Value::Text { .. } => return Vec::new(),
    };
    let signs: &[char] = if key == "extra_hosts" { &['=', ':'] } else { &['='] };
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let Value::Text { text, unset, .. } = &item.value else { continue };
        let (name, value) = match text.split_once(signs) {
            Some((name, value)) => {
                (name, Value::Text { text: value.into(), unset: *unset, plain: false })
            }
            // Without a value it comes from the shell; for `depends_on` there is nothing to say.
            None => (
                text.as_str(),
                Value::Text { text: String::new(), unset: key != "depends_on", plain: true },
            ),
        };
        let value = Arc::new(Node { value, at: item.at, shape: Shape::Text, tag: None });
        let entry = Entry { key: name.trim().to_owned(), at: item.at, value };
        // The last one counts.
        entries.retain(|earlier| earlier.key != entry.key);
        entries.push(entry);
    }
    entries
}

fn union(base: &[Entry], over: &[Entry]) -> Vec<Entry> {
    let mut all: Vec<Entry> = base.to_vec();
    for entry in over {
        let known = all.iter().position(|earlier| earlier.key == entry.key);
        if entry.value.tag == Some(MergeTag::Reset) {
            all.retain(|earlier| earlier.key != entry.key);
            continue;
        }
        match known.and_then(|index| all.get_mut(index)) {
            Some(earlier) => {
                let value = merge(&earlier.value, &entry.value, &entry.key);
                // A text is said where it was said last.
                let at = if value.shape == Shape::Text { entry.at } else { earlier.at };
                *earlier = Entry { key: entry.key.clone(), at, value };
            }
            None => all.push(entry.clone()),
        }
    }
    all
}

fn is_keyed(key: &str) -> bool {
    matches!(key, "environment" | "labels" | "extra_hosts" | "depends_on" | "args" | "annotations")
}

fn is_replaced(key: &str) -> bool {
    matches!(key, "command" | "entrypoint" | "test")
}
