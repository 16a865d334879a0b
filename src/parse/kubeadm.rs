//! What `kubeadm certs check-expiration -o json` prints, as one more kind of file: the ends of certificates on a node
//! that nobody reads from outside, and, as nothing else says it, which of them are missing.
//!
//! Kind `CertificateExpirationInfo` of `output.kubeadm.k8s.io`, any version. Believed as written: it was made where the
//! files are. Called for files.

use serde::Deserialize;

use super::sanitize::shown;
use crate::model::time::UnixTime;

/// Rows that are read; kubeadm has a dozen.
const MAX_ROWS: usize = 1_000;
/// Characters kept of a name.
const MAX_NAME: usize = 128;

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What kubeadm calls it, such as `apiserver-etcd-client`.
    pub name: String,
    /// The name of the CA that issued it; empty for a CA.
    pub issuer: String,
    /// Whether it is a CA.
    pub is_ca: bool,
    /// Its end; `None` for one that is missing.
    pub not_after: Option<UnixTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    kind: String,
    #[serde(default)]
    certificates: Option<Vec<Written>>,
    #[serde(default)]
    certificate_authorities: Option<Vec<Written>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default)]
    name: String,
    #[serde(default)]
    ca_name: Option<String>,
    #[serde(default)]
    expiration_date: Option<String>,
    #[serde(default)]
    missing: bool,
}

const KIND: &str = "CertificateExpirationInfo";

/// Whether `text` is meant as such a report.
#[must_use]
pub fn is_meant(text: &str) -> bool {
    text.contains(KIND)
}

/// The rows of the report in `text`.
///
/// # Errors
/// What is wrong with it.
pub fn rows(text: &str) -> Result<Vec<Row>, String> {
    // kubeadm writes what it does in front of the report, and both streams end up in one file.
    let from = text.find('{').unwrap_or_default();
    let mut reports = serde_json::Deserializer::from_str(&text[from..]).into_iter::<Report>();
    let report = match reports.next() {
        Some(Ok(report)) => report,
        Some(Err(error)) => return Err(format!("kubeadm's report is no valid JSON: {error}")),
        None => return Err("kubeadm's report is empty".to_owned()),
    };
    if report.kind != KIND {
        return Err(format!("its kind is not {KIND}"));
    }
    let leaves = report.certificates.unwrap_or_default().into_iter().map(|row| (row, false));
    let authorities = report.certificate_authorities.unwrap_or_default().into_iter().map(|row| (row, true));
    Ok(leaves.chain(authorities).take(MAX_ROWS).map(|(row, is_ca)| row.read(is_ca)).collect())
}

impl Written {
    fn read(self, is_ca: bool) -> Row {
        let end = self.expiration_date.as_deref().filter(|_| !self.missing);
        let end = end.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Row {
            name: shown(&self.name, MAX_NAME),
            issuer: self.ca_name.map(|name| shown(&name, MAX_NAME)).unwrap_or_default(),
            is_ca,
            not_after: end.map(|end| UnixTime::from_secs(end.as_second())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"[check-expiration] Reading configuration from the "kubeadm-config" ConfigMap
{
    "kind": "CertificateExpirationInfo",
    "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
    "certificates": [
        {"name": "apiserver", "expirationDate": "2027-03-04T05:06:07Z", "residualTime": 8, "externallyManaged": false,
         "caName": "ca", "missing": false},
        {"name": "scheduler.conf", "expirationDate": "0001-01-01T00:00:00Z", "caName": "ca", "missing": true}
    ],
    "certificateAuthorities": [{"name": "ca", "expirationDate": "2036-03-04T05:06:07Z"}]
}"#;

    #[test]
    fn every_row_is_read_and_a_missing_one_has_no_end() {
        let rows = rows(REPORT).unwrap();

        let told: Vec<_> =
            rows.iter().map(|row| (row.name.as_str(), row.is_ca, row.not_after.map(|end| end.to_string()))).collect();
        assert_eq!(
            told,
            [
                ("apiserver", false, Some("2027-03-04T05:06:07Z".to_owned())),
                ("scheduler.conf", false, None),
                ("ca", true, Some("2036-03-04T05:06:07Z".to_owned())),
            ]
        );
        assert_eq!((rows[0].issuer.as_str(), rows[2].issuer.as_str()), ("ca", ""));
    }

    #[test]
    fn what_is_cut_short_or_of_another_kind_is_said() {
        for text in
            ["CertificateExpirationInfo", &REPORT[..200], r#"{"kind": "Pod", "x": "CertificateExpirationInfo"}"#]
        {
            assert!(is_meant(text));
            assert!(rows(text).is_err(), "{text}");
        }
        assert!(!is_meant("{}"));
    }
}
