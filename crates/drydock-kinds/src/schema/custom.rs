//! Builds the type graph of a custom kind position by position.
//!
//! A [`Place`] may refer to a definition of the built-in schema, so that metadata is described once for all kinds.

use serde_json::Value;

use super::types::{Definition, ListType, Member, Node, NodeShape, Schema, Shape};

/// Index of the one definition that stands for anything: objects by field, lists and scalars as one piece.
const DEDUCED: usize = 0;

/// Collects the definitions of one schema.
pub(crate) struct Builder {
    schema: Schema,
}

/// A position under construction.
pub(crate) struct Place {
    node: Node,
    required: bool,
    default: Option<Box<Value>>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let anything = NodeShape::Map(Box::new(Place::deduced().node));
        let deduced = Definition { name: "deduced".into(), node: Node { shape: anything, atomic: None } };
        Self { schema: Schema { definitions: vec![deduced], ..Schema::default() } }
    }

    /// The schema with its one root.
    pub(crate) fn finish(mut self, name: &str, root: Place) -> Schema {
        self.schema.by_name.insert(name.to_owned(), self.schema.definitions.len());
        self.schema.definitions.push(Definition { name: "".into(), node: root.node });
        self.schema
    }
}

impl Place {
    fn of(shape: NodeShape) -> Self {
        Self { node: Node { shape, atomic: None }, required: false, default: None }
    }

    pub(crate) fn deduced() -> Self {
        Self::of(NodeShape::Reference(DEDUCED))
    }

    pub(crate) fn scalar(shape: Shape) -> Self {
        Self::of(NodeShape::Scalar(shape))
    }

    pub(crate) fn builtin(name: &'static str) -> Self {
        Self::of(NodeShape::Builtin(name))
    }

    pub(crate) fn map(item: Place) -> Self {
        Self::of(NodeShape::Map(Box::new(item.node)))
    }

    pub(crate) fn list(item: Place, list: ListType) -> Self {
        Self::of(NodeShape::List(Box::new(item.node), list))
    }

    /// An object with named fields; an open one has others too.
    pub(crate) fn object(members: Vec<(String, Place)>, open: bool) -> Self {
        let member = |(name, place): (String, Place)| {
            let Place { node, required, default } = place;
            (name.into_boxed_str(), Member { node, required, default, ..Member::default() })
        };
        let mut members: Box<[_]> = members.into_iter().map(member).collect();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let rest = Member { node: Place::deduced().node, ..Member::default() };
        Self::of(match open {
            true => NodeShape::Open(members, Box::new(rest)),
            false => NodeShape::Struct(members),
        })
    }

    pub(crate) fn atomic(mut self) -> Self {
        self.node.atomic = Some(true);
        self
    }

    pub(crate) fn required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }

    pub(crate) fn with_default(mut self, default: Option<Value>) -> Self {
        self.default = default.map(Box::new);
        self
    }
}
