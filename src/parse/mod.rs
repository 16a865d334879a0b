//! Bytes to values: pure, bounded, total. What is wrong comes back beside what could be read.
//!
//! Nothing here opens a file, knows a path's meaning or reads a clock; callers hand in bytes.

pub mod flaw;
pub mod kubeconfig;
pub mod pem;
pub mod text;
pub mod yaml;
