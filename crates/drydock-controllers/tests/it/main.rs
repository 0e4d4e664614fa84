//! The controllers at work: a real store and API in one process, and a kubelet that only pretends.

#![allow(clippy::unwrap_used)] // A helper that unwraps nothing has failed its test, as it should.

mod aggregation;
mod autoscaling;
mod cleanup;
mod helm;
mod kubelet;
mod network;
mod restart;
mod rollouts;
mod stateful;
mod tasks;
mod world;
