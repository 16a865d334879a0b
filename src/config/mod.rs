//! The configuration: what was written (`raw`), what it means (`settings`), what is wrong with it (`problem`).

pub mod settings;
