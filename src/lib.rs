//! vedette watches Kubernetes control planes from outside them, judges by itself, and mails the person on call.

pub mod alert;
pub mod cli;
pub mod collect;
pub mod config;
pub mod daemon;
pub mod engine;
pub mod expose;
pub mod judge;
pub mod model;
pub mod notify;
pub mod observe;
pub mod parse;
pub mod render;
pub mod store;
