//! One integration binary: claims about the house as a whole.

#[cfg(test)]
mod bans;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod unit;
