//! vedette watches Kubernetes control planes from outside them, judges by itself, and mails the person on call.

pub mod cli;
pub mod config;
pub mod judge;
pub mod model;
pub mod notify;
pub mod render;
pub mod store;
