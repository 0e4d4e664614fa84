//! Objects in the shape a client asked for: whole, as a table, or as metadata only.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::request::Query;
use crate::served::{ServedColumn, ServedKind};
use crate::stored;
use crate::wire::{Accept, View};

/// How to shape the objects of one answer.
#[derive(Debug, Clone)]
pub struct Shape {
    pub accept: Accept,
    pub kind: ServedKind,
    include: Include,
    pub now: Timestamp,
}

/// Everything that decides how an object is written but the time: equal forms give equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    accept: Accept,
    api_version: String,
    include: Include,
}

/// What a table row carries of its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Object,
}

impl Shape {
    pub fn new(accept: Accept, kind: ServedKind, query: &Query, now: Timestamp) -> Self {
        let include = match query.get("includeObject") {
            Some("None") => Include::Nothing,
            Some("Object") => Include::Object,
            _ => Include::Metadata,
        };
        Self { accept, kind, include, now }
    }

    pub fn form(&self) -> Form {
        Form { accept: self.accept, api_version: self.kind.api_version(), include: self.include }
    }

    /// The same at another time, for ages in tables.
    pub fn at(&self, now: Timestamp) -> Self {
        Self { now, ..self.clone() }
    }

    pub fn one(&self, object: Value) -> Value {
        match self.accept.view {
            View::Whole => object,
            View::Metadata(version) => metadata_only(&object, version),
            View::Table(version) => {
                let metadata = json!({ "resourceVersion": object["metadata"]["resourceVersion"] });
                self.table(version, metadata, &[object])
            }
        }
    }

    /// A list; `metadata` carries its resourceVersion and continuation.
    pub fn list(&self, metadata: Value, items: Vec<Value>) -> Value {
        match self.accept.view {
            View::Whole => {
                let mut items = items;
                items.iter_mut().for_each(|item| stored::unname(&self.kind, item));
                let head = json!({
                    "kind": self.kind.list_kind(), "apiVersion": self.kind.api_version(), "metadata": metadata,
                });
                with(head, "items", items)
            }
            View::Metadata(version) => json!({
                "kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}"),
                "metadata": metadata,
                "items": items.iter().map(|item| metadata_only(item, version)).collect::<Vec<_>>(),
            }),
            View::Table(version) => self.table(version, metadata, &items),
        }
    }

    /// A bookmark's object: nothing but a resourceVersion and maybe annotations.
    pub fn bookmark(&self, metadata: Value) -> Value {
        match self.accept.view {
            View::Table(version) => self.table(version, metadata, &[]),
            View::Metadata(version) => json!({
                "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
            }),
            View::Whole => json!({
                "kind": self.kind.kind(), "apiVersion": self.kind.api_version(), "metadata": metadata,
            }),
        }
    }

    fn table(&self, version: &str, metadata: Value, objects: &[Value]) -> Value {
        let rows: Vec<Value> = objects.iter().map(|object| self.row(object, version)).collect();
        let head = json!({
            "kind": "Table", "apiVersion": format!("meta.k8s.io/{version}"), "metadata": metadata,
            "columnDefinitions": self.columns(),
        });
        with(head, "rows", rows)
    }

    fn columns(&self) -> Vec<Value> {
        let column = |column: &ServedColumn<'_>| {
            json!({
                "name": column.name(), "type": column.type_name(), "format": column.format(),
                "description": column.description(), "priority": column.priority(),
            })
        };
        self.kind.columns().iter().map(column).collect()
    }

    fn row(&self, object: &Value, version: &str) -> Value {
        let cells: Vec<Value> =
            self.kind.columns().iter().map(|column| column.value(object, self.now)).collect();
        let mut row = json!({ "cells": cells });
        match self.include {
            Include::Nothing => row["object"] = Value::Null,
            Include::Metadata => row["object"] = metadata_only(object, version),
            Include::Object => row["object"] = object.clone(),
        }
        row
    }
}

/// Adds what may be large without copying it, as `json!` would.
fn with(mut object: Value, field: &str, list: Vec<Value>) -> Value {
    object[field] = Value::Array(list);
    object
}

fn metadata_only(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}
