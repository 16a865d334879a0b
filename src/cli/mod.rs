//! The commands: one file each. They may know everything below them; nothing below knows them.

pub mod drill;
