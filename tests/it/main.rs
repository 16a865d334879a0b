//! One integration binary: claims about the house as a whole.

mod stories;
