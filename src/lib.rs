//! vedette watches Kubernetes control planes from outside them, judges by itself, and mails the person on call.

pub mod collect;
pub mod config;
pub mod judge;
pub mod model;
pub mod parse;
