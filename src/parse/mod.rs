//! Bytes from elsewhere to the vocabulary of `model`: pure, bounded, total.
//!
//! Nothing here opens, dials or asks for the time. Whatever comes in, a parser returns: what it could read, shortened
//! and escaped so that it can go on a screen or into a mail as it is.

pub mod etcd;
pub mod health;
pub mod pem;
mod text;
mod tlv;
pub mod version;
pub mod x509;
