//! The form of a value in a row: the model's JSON, with the version of that form beside its fields.
//!
//! A field is added without a new version, with a default for rows that lack it. The version grows when what is written
//! can no longer be read by the releases before, or would be misread. A row without a version is older than versions. A
//! row of a newer one is neither read nor removed, except where a change names that very row: it is there for the release
//! that wrote it.

use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// The version that is written; no newer one is read.
const VERSION: u32 = 1;

/// A condition of SQL that holds for the rows that this release can read, and for those that nobody can.
pub(super) const OURS: &str = "CASE WHEN json_valid(json) THEN coalesce(json_extract(json, '$.v'), 0) ELSE 0 END <= 1";

#[derive(Serialize)]
struct Sealed<'a, T> {
    v: u32,
    #[serde(flatten)]
    value: &'a T,
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    v: u32,
}

/// `value`, which is a struct, as it is written.
pub(super) fn seal<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(&Sealed { v: VERSION, value }).map_err(StoreError::Encode)
}

/// What was written, or why it cannot be read.
pub(super) fn open<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let Version { v } = serde_json::from_str(json).map_err(|error| error.to_string())?;
    if v > VERSION {
        return Err(format!(
            "a newer version of vedette wrote it (form {v}, and this version reads up to {VERSION}); it is left for that one"
        ));
    }
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The values of the rows that `query` gives, each row a name and a value; of one that cannot be read, a line that says
/// so in `problems`.
pub(super) fn read<T: DeserializeOwned>(
    connection: &Connection,
    query: &str,
    problems: &mut Vec<String>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare(query)?;
    let texts = |row: &Row<'_>| Ok((row.get::<_, String>(0), row.get::<_, String>(1)));
    let mut values = Vec::new();
    for row in statement.query_map([], texts)? {
        let (name, json) = row?;
        let name = name.unwrap_or_else(|_| "a row without a name".into());
        match json.map_err(|error| error.to_string()).and_then(|json| open(&json)) {
            Ok(value) => values.push(value),
            Err(problem) => problems.push(format!("{name}: {problem}")),
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Value {
        number: u64,
    }

    #[test]
    fn what_is_sealed_opens_and_so_does_what_is_older_than_versions() {
        let sealed = seal(&Value { number: u64::MAX }).unwrap();

        assert_eq!(sealed, format!("{{\"v\":1,\"number\":{}}}", u64::MAX));
        assert_eq!(open::<Value>(&sealed), Ok(Value { number: u64::MAX }));
        assert_eq!(open::<Value>("{\"number\":3}"), Ok(Value { number: 3 }));
        assert!(OURS.ends_with(&format!("<= {VERSION}")));
    }

    #[test]
    fn what_is_newer_is_refused_for_that_reason_and_what_is_nothing_for_another() {
        let newer = open::<Value>("{\"v\":2,\"nummer\":3}").unwrap_err();
        assert_eq!(
            newer,
            "a newer version of vedette wrote it (form 2, and this version reads up to 1); it is left for that one"
        );
        assert!(open::<Value>("{").unwrap_err().contains("EOF"));
    }
}
