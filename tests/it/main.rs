//! One integration binary: claims about the house as a whole.

mod rpc_in_sync;
