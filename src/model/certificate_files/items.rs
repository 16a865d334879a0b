//! What one file holds, as a list that needs no place of its own on the heap while it has one member.
//!
//! Most files hold one certificate, and a machine may hold a hundred thousand of them. Knows nothing of what an item is
//! good for. Reads like a slice.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::Item;

/// Certificates and tokens of one file, in their order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Vec<Item>", into = "Vec<Item>")]
pub struct Items(Held);

#[derive(Debug, Clone)]
enum Held {
    One(Item),
    Any(Box<[Item]>),
}

impl Deref for Items {
    type Target = [Item];

    fn deref(&self) -> &[Item] {
        match &self.0 {
            Held::One(item) => std::slice::from_ref(item),
            Held::Any(items) => items,
        }
    }
}

impl Default for Items {
    fn default() -> Self {
        Self(Held::Any(Box::default()))
    }
}

impl PartialEq for Items {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Items {}

impl From<Vec<Item>> for Items {
    fn from(items: Vec<Item>) -> Self {
        match <[Item; 1]>::try_from(items) {
            Ok([item]) => Self(Held::One(item)),
            Err(items) => Self(Held::Any(items.into_boxed_slice())),
        }
    }
}

impl From<[Item; 1]> for Items {
    fn from([item]: [Item; 1]) -> Self {
        Self(Held::One(item))
    }
}

impl From<Items> for Vec<Item> {
    fn from(items: Items) -> Self {
        match items.0 {
            Held::One(item) => vec![item],
            Held::Any(items) => items.into_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::certificate::Fingerprint;
    use crate::model::certificate_files::ItemKind;

    #[test]
    fn a_list_of_any_length_reads_and_is_written_as_it_was_made() {
        for length in 0..4_u8 {
            let made: Vec<Item> = (0..length).map(item).collect();

            let items = Items::from(made.clone());
            let written = serde_json::to_string(&items).unwrap();

            assert_eq!(*items, *made);
            assert_eq!(written, serde_json::to_string(&made).unwrap());
            assert_eq!(serde_json::from_str::<Items>(&written).unwrap(), items);
            assert_eq!(Vec::from(items), made);
        }
    }

    #[test]
    fn one_item_takes_no_more_room_in_the_list_than_by_itself() {
        assert_eq!(size_of::<Items>(), size_of::<Item>());
    }

    fn item(number: u8) -> Item {
        Item {
            fingerprint: Fingerprint([number; 32]),
            identity: number.into(),
            life: None,
            holder: "CN=a".into(),
            issuer: "CN=b".into(),
            key: None,
            position: 1,
            kind: ItemKind::Leaf,
        }
    }
}
