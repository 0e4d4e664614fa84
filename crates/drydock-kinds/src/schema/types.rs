//! The type graph: definitions, fields and the rules by which lists and maps merge.
//!
//! A [`Type`] is a cheap handle into a [`Schema`]; walking an object means asking it for the type of each field.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use serde_json::Value;

/// A set of definitions that refer to one another, and the kinds among them.
#[derive(Debug, Default)]
pub struct Schema {
    pub(crate) definitions: Vec<Definition>,
    pub(crate) by_name: HashMap<String, usize>,
    /// `(group, version, kind)` of each root definition.
    pub(crate) kinds: HashMap<(String, String, String), usize>,
}

/// A named structure, or a named scalar such as a quantity.
#[derive(Debug, Default)]
pub struct Definition {
    pub(crate) name: Box<str>,
    pub(crate) node: Node,
}

/// One position in the type graph.
#[derive(Debug, Default)]
pub struct Node {
    pub(crate) shape: NodeShape,
    /// Whether this place says of a structure or map that it is atomic, or that it is not.
    pub(crate) atomic: Option<bool>,
}

#[derive(Debug, Default)]
pub(crate) enum NodeShape {
    #[default]
    Any,
    Reference(usize),
    /// Sorted by name; a slice because a map of maps would double the memory of the index.
    Struct(Box<[(Box<str>, Member)]>),
    /// A structure that may have fields beyond the named ones, all of one type.
    Open(Box<[(Box<str>, Member)]>, Box<Member>),
    /// A definition of the built-in schema.
    Builtin(&'static str),
    Map(Box<Node>),
    List(Box<Node>, ListType),
    Scalar(Shape),
}

#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) required: bool,
    pub(crate) default: Option<Box<Value>>,
    pub(crate) merge_key: Option<Box<str>>,
    pub(crate) strategies: Vec<PatchStrategy>,
}

/// How server-side apply treats a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListType {
    #[default]
    Atomic,
    Set,
    /// Items are identified by these fields.
    Map(Vec<String>),
}

/// How a strategic merge patch treats a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchStrategy {
    Merge,
    Replace,
    RetainKeys,
}

/// What kind of value belongs at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Struct,
    Map,
    List,
    String,
    /// At most 64 bits.
    Integer,
    /// At most 32 bits.
    Integer32,
    Number,
    Boolean,
    Bytes,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    /// Anything at all: raw extensions and the like.
    Any,
}

/// A handle to the type at one position of an object.
#[derive(Debug, Clone, Copy)]
pub struct Type<'s> {
    schema: &'s Schema,
    node: &'s Node,
    atomic: bool,
    /// The published name, where the structure has one.
    name: Option<&'s str>,
}

/// A field of a structure: its type and how it merges.
#[derive(Debug, Clone, Copy)]
pub struct Field<'s> {
    pub ty: Type<'s>,
    member: &'s Member,
}

static BUILTIN: LazyLock<Schema> =
    LazyLock::new(|| super::build::schema(super::artefact::names(), super::artefact::definitions()));

impl Schema {
    /// The schema of the built-in kinds, decoded on first use.
    pub fn builtin() -> &'static Schema {
        &BUILTIN
    }

    /// The type of a whole object of this kind.
    pub fn kind(&self, group: &str, version: &str, kind: &str) -> Option<Type<'_>> {
        let key = (group.to_owned(), version.to_owned(), kind.to_owned());
        self.kinds.get(&key).and_then(|index| self.at(*index))
    }

    /// The type of a definition by its published name, `io.k8s.api.core.v1.PodSpec`.
    pub fn definition(&self, name: &str) -> Option<Type<'_>> {
        self.by_name.get(name).and_then(|index| self.at(*index))
    }

    /// The published name of a kind's definition.
    pub fn kind_name(&self, group: &str, version: &str, kind: &str) -> Option<&str> {
        self.kind(group, version, kind).and_then(Type::name)
    }

    /// These definitions and all that they refer to, by name.
    pub(crate) fn closure(&self, roots: impl Iterator<Item = String>) -> HashSet<&str> {
        let mut open: Vec<usize> = roots.filter_map(|name| self.by_name.get(&name).copied()).collect();
        let mut names = HashSet::new();
        while let Some(index) = open.pop() {
            let definition = &self.definitions[index];
            if names.insert(&*definition.name) {
                definition.node.references(&mut open);
            }
        }
        names
    }

    fn at(&self, index: usize) -> Option<Type<'_>> {
        let definition = self.definitions.get(index)?;
        Some(Type { name: Some(&definition.name), ..Type::new(self, &definition.node) })
    }
}

impl Node {
    fn references(&self, out: &mut Vec<usize>) {
        match &self.shape {
            NodeShape::Any | NodeShape::Scalar(_) | NodeShape::Builtin(_) => {}
            NodeShape::Reference(index) => out.push(*index),
            NodeShape::Struct(members) | NodeShape::Open(members, _) => {
                members.iter().for_each(|(_, member)| member.node.references(out));
            }
            NodeShape::Map(item) | NodeShape::List(item, _) => item.references(out),
        }
    }
}

impl<'s> Type<'s> {
    fn new(schema: &'s Schema, node: &'s Node) -> Self {
        // A reference may declare a shared structure atomic, or granular, at this one place only.
        let mut atomic = node.atomic;
        let (mut schema, mut node, mut name) = (schema, node, None);
        loop {
            let index = match node.shape {
                NodeShape::Reference(index) => Some(index),
                NodeShape::Builtin(name) => {
                    schema = Schema::builtin();
                    schema.by_name.get(name).copied()
                }
                _ => None,
            };
            let Some(target) = index.and_then(|index| schema.definitions.get(index)) else { break };
            (node, name) = (&target.node, Some(&*target.name));
            atomic = atomic.or(node.atomic);
        }
        Self { schema, node, atomic: atomic.unwrap_or(false), name }
    }

    pub fn shape(self) -> Shape {
        match &self.node.shape {
            NodeShape::Any | NodeShape::Reference(_) | NodeShape::Builtin(_) => Shape::Any,
            NodeShape::Struct(_) | NodeShape::Open(..) => Shape::Struct,
            NodeShape::Map(_) => Shape::Map,
            NodeShape::List(..) => Shape::List,
            NodeShape::Scalar(shape) => *shape,
        }
    }

    /// The published name of a structure, `io.k8s.api.core.v1.PodSpec`.
    pub fn name(self) -> Option<&'s str> {
        self.name
    }

    /// The field `name` of a structure.
    pub fn field(self, name: &str) -> Option<Field<'s>> {
        let (members, rest) = match &self.node.shape {
            NodeShape::Struct(members) => (members, None),
            NodeShape::Open(members, rest) => (members, Some(&**rest)),
            _ => return None,
        };
        let index = members.binary_search_by(|(known, _)| (**known).cmp(name)).ok();
        let member = index.and_then(|index| members.get(index)).map(|(_, member)| member).or(rest)?;
        Some(Field { ty: Type::new(self.schema, &member.node), member })
    }

    /// All fields of a structure, by name.
    pub fn fields(self) -> impl Iterator<Item = (&'s str, Field<'s>)> {
        let members = match &self.node.shape {
            NodeShape::Struct(members) | NodeShape::Open(members, _) => Some(members.iter()),
            _ => None,
        };
        members
            .into_iter()
            .flatten()
            .map(move |(name, member)| (&**name, Field { ty: Type::new(self.schema, &member.node), member }))
    }

    /// The type of a list's items or a map's values.
    pub fn items(self) -> Option<Type<'s>> {
        match &self.node.shape {
            NodeShape::List(item, _) | NodeShape::Map(item) => Some(Type::new(self.schema, item)),
            _ => None,
        }
    }

    /// How server-side apply treats this list; atomic for everything that is no list.
    pub fn list_type(self) -> &'s ListType {
        match &self.node.shape {
            NodeShape::List(_, list_type) => list_type,
            _ => &ListType::Atomic,
        }
    }

    /// Whether this structure or map is owned as one piece.
    pub fn is_atomic(self) -> bool {
        self.atomic
    }
}

impl<'s> Field<'s> {
    pub fn is_required(self) -> bool {
        self.member.required
    }

    /// The value an absent field stands for, where the schema names one.
    pub fn default(self) -> Option<&'s Value> {
        self.member.default.as_deref()
    }

    /// The field that identifies items of this list in a strategic merge patch.
    pub fn merge_key(self) -> Option<&'s str> {
        self.member.merge_key.as_deref()
    }

    pub fn has_strategy(self, strategy: PatchStrategy) -> bool {
        self.member.strategies.contains(&strategy)
    }
}
