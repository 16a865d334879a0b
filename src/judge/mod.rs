//! What is wrong, and how to say it: one file per rule family.

pub mod words;
