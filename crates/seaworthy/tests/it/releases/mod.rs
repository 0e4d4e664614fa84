//! Releases beside the real Helm: the same charts, the same cluster, both programs.
//!
//! The cluster is drydock's API and controllers in this process, with a node that pretends; no root is needed. Where
//! Helm is missing, what needs it says so and does nothing.
//!
//! Start at [`port::Port`].

mod better;
mod both_ways;
mod crds;
mod gate;
mod interrupted;
mod killed;
mod port;
mod printed;
mod ways;
