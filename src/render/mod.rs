//! Words and pictures: what people read, made from the model. Pure; sends nothing and decides nothing.

pub mod document;
pub mod evidence;
pub mod harmless;
pub mod html;
pub mod mail;
pub mod message;
pub mod subject_line;
pub mod text;

#[cfg(test)]
mod tests;
