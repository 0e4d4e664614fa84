//! One file per kind and the catalog: scope, names, defaults, validation, columns, merge keys.
//!
//! For everyone who serves, stores or reconciles Kubernetes objects. Objects are `serde_json::Value`;
//! nothing here reads a file, a socket or a clock: the time comes in as an argument.
//! **Invariant:** a kind is declared in exactly one place; who asks the catalog needs no list of kinds of their own.
//!
//! Start at [`catalog`] for the kinds and at [`schema`] for their fields.

pub mod catalog;
pub mod column;
pub mod custom;
pub mod field;
pub mod podsecurity;
pub mod quota;
pub mod schedule;
pub mod schema;
pub mod spec;
pub mod zone;

// What kinds share.
mod admissionpolicy;
mod cells;
mod edit;
mod meta;
pub mod names;
mod rbac;
mod read;
mod rules;
mod selector;
mod webhook;
mod workload;

// The kinds, one file each.
mod apiservice;
mod binding;
mod certificatesigningrequest;
mod clusterrole;
mod clusterrolebinding;
mod componentstatus;
mod configmap;
mod controllerrevision;
mod cronjob;
mod csidriver;
mod csinode;
mod csistoragecapacity;
mod customresourcedefinition;
mod daemonset;
mod deployment;
mod deviceclass;
mod endpoints;
mod endpointslice;
mod event;
mod eventsevent;
mod flowschema;
mod horizontalpodautoscaler;
mod ingress;
mod ingressclass;
mod ipaddress;
mod job;
mod lease;
mod limitrange;
mod mutatingadmissionpolicy;
mod mutatingadmissionpolicybinding;
mod mutatingwebhookconfiguration;
mod namespace;
mod networkpolicy;
mod node;
mod persistentvolume;
mod persistentvolumeclaim;
mod pod;
mod poddisruptionbudget;
mod podtemplate;
mod priorityclass;
mod prioritylevelconfiguration;
mod replicaset;
mod replicationcontroller;
mod resourceclaim;
mod resourceclaimtemplate;
mod resourcequota;
mod resourceslice;
mod role;
mod rolebinding;
mod runtimeclass;
mod secret;
mod service;
mod serviceaccount;
mod servicecidr;
mod statefulset;
mod storageclass;
mod validatingadmissionpolicy;
mod validatingadmissionpolicybinding;
mod validatingwebhookconfiguration;
mod volumeattachment;
mod volumeattributesclass;

pub use catalog::{by_api_version, by_kind, by_plural, catalog};
pub use column::{Column, ColumnType};
pub use custom::cel::free as expression;
pub use custom::{CustomColumn, CustomKind};
pub use field::{FieldError, FieldErrorKind, Path};
pub use pod::resize::merge as resize;
pub use pod::template::matches as selector_matches;
pub use pod::{qos_class, resources};
pub use spec::{Generation, KindSpec, NameRule, Scale, Scope, Selectable, Stored};
