//! Brings services to one shape, and lays one file over another as Compose does.
//!
//! Shape: what may be a list of `NAME=value` becomes a mapping, a bare text that stands for a mapping becomes one.
//! Merge: mappings by key, lists appended, except those that Compose replaces or matches by target.
//!
//! Start at [`normalize`] and [`merge`].

use crate::node::{Entry, Mark, MergeTag, Node, Value};

/// Keys of a service that may be a list of `NAME=value` or `NAME`.
const PAIRS: &[&str] = &["environment", "labels", "annotations", "extra_hosts", "sysctls"];

/// Lists that a later file replaces instead of extending.
const REPLACED: &[&str] = &["command", "entrypoint", "test"];

/// Brings every service of the file to one shape.
pub fn normalize(root: &mut Node) {
    for entry in root.entries_mut() {
        if entry.key == "services" {
            entry.node.entries_mut().iter_mut().for_each(|service| normalize_service(&mut service.node));
        }
    }
}

fn normalize_service(service: &mut Node) {
    for Entry { key, node, .. } in service.entries_mut() {
        match key.as_str() {
            key if PAIRS.contains(&key) => list_to_pairs(node),
            "depends_on" => names_to_map(node, Some(("condition", "service_started"))),
            "networks" => names_to_map(node, None),
            "build" => {
                text_to_map(node, "context");
                for part in node.entries_mut().iter_mut().filter(|part| part.key == "args") {
                    list_to_pairs(&mut part.node);
                }
            }
            "extends" => text_to_map(node, "service"),
            _ => {}
        }
    }
}

/// `[A=1, B]` to `{A: 1, B: }`. The last of equal names wins, as in Compose.
fn list_to_pairs(node: &mut Node) {
    let Value::Seq(items) = &mut node.value else { return };
    if !items.iter().all(|item| matches!(item.value, Value::Scalar { .. })) {
        return;
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(items.len());
    for item in std::mem::take(items) {
        let Value::Scalar { text, quoted } = item.value else { continue };
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.as_str(), None),
        };
        let start = name.chars().count() + 1 + usize::from(quoted);
        let at = item.mark.shifted(start, item.mark.width.saturating_sub(start));
        let value = value.map_or(Value::Null, |text| Value::Scalar { text: text.to_owned(), quoted: false });
        entries.retain(|entry| entry.key != name);
        let key_mark = item.mark.shifted(usize::from(quoted), name.chars().count());
        entries.push(Entry { key: name.to_owned(), key_mark, node: Node::new(value, at) });
    }
    node.value = Value::Map(entries);
}

fn names_to_map(node: &mut Node, value: Option<(&str, &str)>) {
    let Value::Seq(items) = &mut node.value else { return };
    if !items.iter().all(|item| matches!(item.value, Value::Scalar { .. })) {
        return;
    }
    let entry = |item: Node| {
        let Value::Scalar { text, .. } = item.value else { return None };
        let node = match value {
            Some((key, value)) => single(key, Node::scalar(value, item.mark), item.mark),
            None => Node::new(Value::Null, item.mark),
        };
        Some(Entry { key: text, key_mark: item.mark, node })
    };
    node.value = Value::Map(std::mem::take(items).into_iter().filter_map(entry).collect());
}

fn text_to_map(node: &mut Node, key: &str) {
    if matches!(node.value, Value::Scalar { .. }) {
        let mark = node.mark;
        let text = std::mem::replace(node, Node::new(Value::Null, mark));
        *node = single(key, text, mark);
    }
}

fn single(key: &str, node: Node, mark: Mark) -> Node {
    Node::new(Value::Map(vec![Entry { key: key.to_owned(), key_mark: mark, node }]), mark)
}

/// Lays `over` over `base`. `key` is the key under which both stand.
pub fn merge(base: Node, over: Node, key: &str) -> Node {
    match over.merge {
        MergeTag::Reset => return Node::new(Value::Null, over.mark),
        MergeTag::Override => return over,
        MergeTag::None => {}
    }
    let Node { value, mark, merge: tag } = over;
    match (base.value, value) {
        (Value::Map(under), Value::Map(entries)) => {
            Node { value: Value::Map(merge_maps(under, entries)), mark, merge: tag }
        }
        (Value::Seq(under), Value::Seq(items)) if !REPLACED.contains(&key) => {
            Node { value: Value::Seq(merge_lists(under, items, key)), mark, merge: tag }
        }
        (value, Value::Null) => Node { value, mark: base.mark, merge: tag },
        (_, value) => Node { value, mark, merge: tag },
    }
}

fn merge_maps(mut under: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    for entry in over {
        // Gone, not empty: a variable without a value would be taken from the environment.
        if entry.node.merge == MergeTag::Reset {
            under.retain(|own| own.key != entry.key);
            continue;
        }
        match under.iter_mut().find(|own| own.key == entry.key) {
            None => under.push(entry),
            Some(own) => {
                let placeholder = Node::new(Value::Null, own.node.mark);
                own.node = merge(std::mem::replace(&mut own.node, placeholder), entry.node, &entry.key);
                own.key_mark = entry.key_mark;
            }
        }
    }
    under
}

fn merge_lists(mut under: Vec<Node>, over: Vec<Node>, key: &str) -> Vec<Node> {
    for item in over {
        let identity = identity(&item, key);
        under.retain(|own| self::identity(own, key) != identity);
        under.push(item);
    }
    under
}

/// What makes two items of a list the same: the target of a mount, the text of everything else.
fn identity(item: &Node, key: &str) -> String {
    let field = |name: &str| match item.get(name).map(|node| &node.value) {
        Some(Value::Scalar { text, .. }) => Some(text.clone()),
        _ => None,
    };
    match (&item.value, key) {
        (Value::Scalar { text, .. }, "volumes") => {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or_default();
            parts.next().unwrap_or(first).to_owned()
        }
        (Value::Scalar { text, .. }, _) => text.clone(),
        (_, "volumes" | "configs" | "secrets") => {
            field("target").or_else(|| field("source")).unwrap_or_default()
        }
        (_, "ports") => ["host_ip", "target", "published", "protocol"]
            .map(|name| field(name).unwrap_or_default())
            .join("/"),
        _ => format!("{:?}", item.mark),
    }
}
