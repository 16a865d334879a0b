//! What is wrong, and how to say it: one file per rule family.

pub mod alarm;
pub mod blind;
pub mod expiry;
pub mod instance;
pub mod phrases;
pub mod quorum;
pub mod readiness;
pub mod refused;
pub mod slow;
pub mod vip;
pub mod words;
