//! The configuration: a file to [`settings`], with everything that is wrong said at once.
//!
//! The file is a tree ([`crate::parse::yaml`]) that one reader per section walks (`raw` knows its keys, the
//! sections their meaning). Complaints gather in [`problem`]; only at the end it is decided whether there are
//! settings. Nothing here dials or resolves anything, and no secret is kept: [`source`] reads each on use.

pub mod address;
pub mod budget;
mod cluster;
mod duration;
mod inventory;
mod kubeconfig;
mod load;
mod material;
mod outlets;
pub mod problem;
mod raw;
pub mod settings;
pub mod source;
pub mod surroundings;
mod timing;
mod vantage;
