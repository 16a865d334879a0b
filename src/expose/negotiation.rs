//! The format of the metrics that a scraper prefers, by its `Accept` header (RFC 9110 section 12.5.1).

use axum::http::{HeaderMap, header};

use crate::render::metrics::Format;

/// The better of the two formats for who sent `headers`: text, unless it likes protobuf more.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let (mut text, mut protobuf) = (0.0_f32, 0.0_f32);
    for range in headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(ranges) {
        match range.media_type.as_str() {
            "text/plain" | "text/*" | "*/*" => text = text.max(range.quality),
            "application/vnd.google.protobuf" if range.is_metric_family => protobuf = protobuf.max(range.quality),
            _ => {}
        }
    }
    if protobuf > text { Format::Protobuf } else { Format::Text }
}

/// One media range of a header.
struct Range {
    media_type: String,
    /// 0 to 1; 1 where none is given, 0 where it cannot be read.
    quality: f32,
    /// Whether it names the one message and the one encoding that there are.
    is_metric_family: bool,
}

fn ranges(header: &str) -> impl Iterator<Item = Range> {
    header.split(',').map(|range| {
        let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
        let media_type = parts.next().unwrap_or_default();
        let parameters: Vec<(String, String)> = parts
            .filter_map(|part| part.split_once('=').map(|(name, value)| (name.trim().into(), value.trim().into())))
            .collect();
        let parameter =
            |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        Range {
            media_type,
            quality: parameter("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0)),
            is_metric_family: parameter("proto") == Some("io.prometheus.client.metricfamily")
                && parameter("encoding") == Some("delimited"),
        }
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn protobuf_goes_to_who_likes_it_more_than_text() {
        const PROTOBUF: &str =
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, wanted) in [
            ("", Format::Text),
            ("*/*", Format::Text),
            ("text/html, */*;q=0.8", Format::Text),
            (PROTOBUF, Format::Protobuf),
            // As Prometheus 3 asks with native histograms, and without.
            (
                &format!(
                    "{PROTOBUF};q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                     text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
                ),
                Format::Protobuf,
            ),
            ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4", Format::Text),
            (&format!("text/plain;q=0.9, {PROTOBUF};q=0.9"), Format::Text),
            (&format!("{PROTOBUF};q=0"), Format::Text),
            (&format!("{PROTOBUF};q=nonsense"), Format::Text),
            ("application/vnd.google.protobuf", Format::Text),
            ("application/vnd.google.protobuf; proto=other.Message; encoding=delimited", Format::Text),
            ("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text", Format::Text),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_str(accept).unwrap())].into_iter().collect();
            assert_eq!(format(&headers), wanted, "{accept}");
        }
        assert_eq!(format(&HeaderMap::new()), Format::Text);
    }
}
