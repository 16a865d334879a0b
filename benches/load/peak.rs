//! The most memory of a process over a time.

use std::fs;

use anyhow::{Context, Result};

use crate::process::status_bytes;

/// Counts the most memory from now on. Source: `proc_pid_clear_refs(5)`, value 5.
///
/// # Errors
/// When the process is gone or belongs to somebody else.
pub(crate) fn forget(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("process {pid}"))
}

/// The most memory that was resident since [`forget`], in bytes.
///
/// # Errors
/// When the process is gone.
pub(crate) fn bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmHWM:")
}
