//! The `/metrics` page of an apiserver, as it arrives: a few families out of a page of up to tens of megabytes.
//!
//! A family that the server's version does not have stays unknown. Sums are made on the way, so that a page of ten
//! million series takes no more memory than one of a thousand. Knows nothing of HTTP. Called by
//! `collect/apiserver/metrics_page.rs`.

use std::collections::BTreeMap;

use super::exposition::{Families, Flaw, Reader, Sample};
use super::sanitize::shown;
use crate::model::apiserver_metrics::{
    ApiserverMetrics, Configuration, Counter, DeprecatedApi, Loaded, Seats, WebhookCounts,
};

/// What is wanted of a page. Names of 1.37; those that differ in older ones are beside each other.
const FAMILIES: Families = Families::new(&[
    "apiserver_admission_webhook_admission_duration_seconds",
    "apiserver_admission_webhook_fail_open_count",
    "apiserver_admission_webhook_rejection_count",
    "apiserver_audit_error_total",
    "apiserver_audit_requests_rejected_total",
    "apiserver_authentication_config_controller_automatic_reload_last_timestamp_seconds",
    "apiserver_authentication_config_controller_automatic_reloads_total",
    "apiserver_authentication_config_controller_last_config_info",
    "apiserver_authorization_config_controller_automatic_reload_last_timestamp_seconds",
    "apiserver_authorization_config_controller_automatic_reloads_total",
    "apiserver_authorization_config_controller_last_config_info",
    "apiserver_egress_dialer_dial_failure_count",
    "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds",
    "apiserver_encryption_config_controller_automatic_reloads_total",
    "apiserver_encryption_config_controller_last_config_info",
    "apiserver_flowcontrol_current_executing_seats",
    "apiserver_flowcontrol_current_limit_seats",
    "apiserver_flowcontrol_nominal_limit_seats",
    "apiserver_longrunning_requests",
    "apiserver_request_total",
    "apiserver_requested_deprecated_apis",
    "apiserver_storage_list_fetched_objects_total",
    "apiserver_terminated_watchers_total",
    "process_start_time_seconds",
]);
/// Samples taken of a page. One of 64 MiB has a million lines at most, as each has some 60 bytes at least.
const MAX_SAMPLES: usize = 2_000_000;
/// Characters kept of a name; those of Kubernetes' own objects have 253 at most.
const MAX_NAME: usize = 253;

/// Why a page tells nothing of an apiserver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It holds nothing of an apiserver: something else answers there.
    Foreign,
    /// Its last line has no end, so it is not all that the server wanted to say.
    Cut,
    /// It has more of what is wanted than any apiserver has.
    TooLarge,
}

/// Reads a page as it arrives.
#[derive(Debug)]
pub struct ApiserverPageReader {
    exposition: Reader,
    found: Found,
}

/// What a page has told so far.
#[derive(Debug, Default)]
struct Found {
    metrics: ApiserverMetrics,
    is_apiserver: bool,
}

impl Default for ApiserverPageReader {
    fn default() -> Self {
        Self { exposition: Reader::new(FAMILIES, MAX_SAMPLES), found: Found::default() }
    }
}

impl ApiserverPageReader {
    /// Takes the next piece of the page.
    ///
    /// # Errors
    /// [`Unreadable::TooLarge`]: the rest of the page is not to be read.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), Unreadable> {
        let found = &mut self.found;
        found.metrics.bytes += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.exposition.push(piece, |sample| found.take(sample)).map_err(|flaw| match flaw {
            Flaw::Cut => Unreadable::Cut,
            Flaw::TooManySamples => Unreadable::TooLarge,
        })
    }

    /// What the page told, after its last piece.
    ///
    /// # Errors
    /// When that is not all, or nothing of an apiserver.
    pub fn finish(self) -> Result<ApiserverMetrics, Unreadable> {
        let Self { exposition, found } = self;
        if !found.is_apiserver {
            return Err(Unreadable::Foreign);
        }
        exposition.finish().map_err(|_| Unreadable::Cut)?;
        Ok(found.metrics)
    }
}

impl Found {
    fn take(&mut self, sample: &Sample<'_>) {
        self.is_apiserver = self.is_apiserver || sample.name.starts_with("apiserver_");
        let label = |name: &str| sample.label(name).unwrap_or_default();
        let is = |name: &str, value: &str| label(name) == value;
        match sample.name {
            "process_start_time_seconds" => self.metrics.started = sample.instant(),
            "apiserver_request_total" if is("verb", "POST") && label("code").starts_with('2') => {
                if is("resource", "pods") && is("subresource", "binding") {
                    self.count(Counter::PodsBound, sample);
                } else if is("resource", "events") && is("subresource", "") {
                    self.count(Counter::EventsCreated, sample);
                }
            }
            "apiserver_audit_error_total" | "apiserver_audit_requests_rejected_total" => {
                self.count(Counter::AuditLost, sample);
            }
            "apiserver_terminated_watchers_total" => self.count(Counter::WatchesEnded, sample),
            "apiserver_egress_dialer_dial_failure_count" => self.count(Counter::EgressFailures, sample),
            "apiserver_flowcontrol_current_executing_seats" => self.seats(sample, |seats| &mut seats.used),
            "apiserver_flowcontrol_nominal_limit_seats" => self.seats(sample, |seats| &mut seats.nominal),
            "apiserver_flowcontrol_current_limit_seats" => self.seats(sample, |seats| &mut seats.limit),
            "apiserver_requested_deprecated_apis" if sample.value > 0.0 => self.deprecated(sample),
            "apiserver_storage_list_fetched_objects_total" => self.listed(sample),
            "apiserver_longrunning_requests" if is("verb", "WATCH") => self.watches(sample),
            "apiserver_admission_webhook_admission_duration_seconds_count" => {
                self.webhook(sample, |webhook| add(&mut webhook.calls, sample));
            }
            "apiserver_admission_webhook_admission_duration_seconds_sum" => {
                self.webhook(sample, |webhook| webhook.millis = webhook.millis.saturating_add(millis(sample.value)));
            }
            "apiserver_admission_webhook_fail_open_count" => {
                self.webhook(sample, |webhook| add(&mut webhook.failed_open, sample));
            }
            "apiserver_admission_webhook_rejection_count"
                if is("error_type", "calling_webhook_error") || is("error_type", "apiserver_internal_error") =>
            {
                self.webhook(sample, |webhook| add(&mut webhook.not_called, sample));
            }
            name => self.configuration(name, sample),
        }
    }

    fn count(&mut self, counter: Counter, sample: &Sample<'_>) {
        add(self.metrics.counters.entry(counter).or_default(), sample);
    }

    fn seats(&mut self, sample: &Sample<'_>, field: impl FnOnce(&mut Seats) -> &mut u64) {
        let level = shown(&sample.label("priority_level").unwrap_or_default(), MAX_NAME);
        // The exempt level has no limit of seats.
        if level != "exempt"
            && let Some(seats) = entry(&mut self.metrics.seats, level, ApiserverMetrics::MAX_LEVELS)
        {
            add(field(seats), sample);
        }
    }

    fn webhook(&mut self, sample: &Sample<'_>, count: impl FnOnce(&mut WebhookCounts)) {
        let name = shown(&sample.label("name").unwrap_or_default(), MAX_NAME);
        if let Some(webhook) = entry(&mut self.metrics.webhooks, name, ApiserverMetrics::MAX_WEBHOOKS) {
            count(webhook);
        }
    }

    fn listed(&mut self, sample: &Sample<'_>) {
        // Until 1.33 the label `resource` holds the group as well, or a prefix of etcd's keys, and there is no `storage`:
        // then all of it is from etcd.
        let resource = with_group(sample, "resource", "group");
        let is_cached = sample.label("storage").is_some_and(|storage| storage == "watchcache");
        let Some(listed) = entry(&mut self.metrics.listed, resource, ApiserverMetrics::MAX_RESOURCES) else { return };
        add(if is_cached { &mut listed.from_cache } else { &mut listed.from_etcd }, sample);
    }

    fn watches(&mut self, sample: &Sample<'_>) {
        let resource = with_group(sample, "resource", "group");
        if let Some(open) = entry(&mut self.metrics.watches, resource, ApiserverMetrics::MAX_RESOURCES) {
            add(open, sample);
        }
    }

    fn deprecated(&mut self, sample: &Sample<'_>) {
        let version = sample.label("version").unwrap_or_default();
        let what = format!("{}/{}", with_group(sample, "resource", "group"), shown(&version, MAX_NAME));
        let removed_in = shown(&sample.label("removed_release").unwrap_or_default(), MAX_NAME);
        let known = &mut self.metrics.deprecated;
        // One without a removal will be there for as long as the API is.
        if !removed_in.is_empty() && known.len() < ApiserverMetrics::MAX_DEPRECATED {
            known.insert(DeprecatedApi { removed_in, what });
        }
    }

    fn configuration(&mut self, name: &str, sample: &Sample<'_>) {
        let family = |(configuration, prefix): (Configuration, &str)| Some((configuration, name.strip_prefix(prefix)?));
        let Some((configuration, what)) = Configuration::ALL.into_iter().find_map(family) else { return };
        let loaded: &mut Loaded = self.metrics.configurations.entry(configuration).or_default();
        let failed = sample.label("status").is_some_and(|status| status == "failure");
        match what {
            "automatic_reloads_total" if failed => add(&mut loaded.failed, sample),
            "automatic_reload_last_timestamp_seconds" => {
                // Zero is what an apiserver writes before the first.
                let at = sample.instant().filter(|_| sample.value > 0.0);
                *(if failed { &mut loaded.failed_at } else { &mut loaded.succeeded_at }) = at;
            }
            "last_config_info" => loaded.hash = sample.label("hash").map(|hash| shown(&hash, MAX_NAME)),
            _ => {}
        }
    }
}

/// `deployments.apps`, or `pods`.
fn with_group(sample: &Sample<'_>, resource: &str, group: &str) -> String {
    let (resource, group) = (sample.label(resource).unwrap_or_default(), sample.label(group).unwrap_or_default());
    let text = if group.is_empty() { resource.into_owned() } else { format!("{resource}.{group}") };
    shown(&text, MAX_NAME)
}

/// The value of `key`, unless it is new and there are `most` already.
fn entry<T: Default>(map: &mut BTreeMap<String, T>, key: String, most: usize) -> Option<&mut T> {
    (map.len() < most || map.contains_key(&key)).then(|| map.entry(key).or_default())
}

fn add(sum: &mut u64, sample: &Sample<'_>) {
    *sum = sum.saturating_add(sample.whole().unwrap_or(0));
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is no number becomes 0")]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round().clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::apiserver_metrics::Listed;
    use proptest::prelude::*;

    const PAGE: &str = "\
# HELP apiserver_audit_error_total [ALPHA] Counter of audit events that failed to be audited properly.
# TYPE apiserver_audit_error_total counter
apiserver_audit_error_total{plugin=\"webhook\"} 3
apiserver_audit_requests_rejected_total 2
apiserver_admission_webhook_admission_duration_seconds_bucket{name=\"deny.example.org\",le=\"0.005\"} 1
apiserver_admission_webhook_admission_duration_seconds_sum{name=\"deny.example.org\",operation=\"CREATE\"} 1.25
apiserver_admission_webhook_admission_duration_seconds_count{name=\"deny.example.org\",operation=\"CREATE\"} 4
apiserver_admission_webhook_admission_duration_seconds_sum{name=\"deny.example.org\",operation=\"UPDATE\"} 0.75
apiserver_admission_webhook_admission_duration_seconds_count{name=\"deny.example.org\",operation=\"UPDATE\"} 1
apiserver_admission_webhook_rejection_count{error_type=\"calling_webhook_error\",name=\"deny.example.org\"} 2
apiserver_admission_webhook_rejection_count{error_type=\"no_error\",name=\"deny.example.org\"} 9
apiserver_admission_webhook_fail_open_count{name=\"deny.example.org\",type=\"validating\"} 1
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{status=\"failure\"} 1.772e+09
apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds{status=\"success\"} 0
apiserver_encryption_config_controller_automatic_reloads_total{status=\"failure\"} 7
apiserver_encryption_config_controller_last_config_info{apiserver_id_hash=\"sha256:1\",hash=\"sha256:2\"} 1
apiserver_flowcontrol_current_executing_seats{flow_schema=\"exempt\",priority_level=\"exempt\"} 4
apiserver_flowcontrol_current_executing_seats{flow_schema=\"a\",priority_level=\"workload-low\"} 5
apiserver_flowcontrol_current_executing_seats{flow_schema=\"b\",priority_level=\"workload-low\"} 6
apiserver_flowcontrol_nominal_limit_seats{priority_level=\"workload-low\"} 245
apiserver_flowcontrol_current_limit_seats{priority_level=\"workload-low\"} 240
apiserver_longrunning_requests{component=\"apiserver\",group=\"apps\",resource=\"deployments\",scope=\"cluster\",verb=\"WATCH\"} 7
apiserver_longrunning_requests{component=\"apiserver\",group=\"apps\",resource=\"deployments\",scope=\"namespace\",verb=\"WATCH\"} 2
apiserver_longrunning_requests{component=\"apiserver\",group=\"\",resource=\"pods\",scope=\"resource\",verb=\"CONNECT\"} 5
apiserver_request_total{code=\"201\",resource=\"pods\",subresource=\"binding\",verb=\"POST\"} 40
apiserver_request_total{code=\"409\",resource=\"pods\",subresource=\"binding\",verb=\"POST\"} 2
apiserver_request_total{code=\"201\",resource=\"events\",subresource=\"\",verb=\"POST\"} 500
apiserver_request_total{code=\"201\",resource=\"pods\",subresource=\"\",verb=\"POST\"} 41
apiserver_requested_deprecated_apis{group=\"g.io\",removed_release=\"1.38\",resource=\"things\",subresource=\"\",version=\"v1beta3\"} 1
apiserver_requested_deprecated_apis{group=\"\",removed_release=\"\",resource=\"endpoints\",subresource=\"\",version=\"v1\"} 1
apiserver_storage_list_fetched_objects_total{group=\"\",resource=\"pods\",storage=\"watchcache\",index=\"\"} 30
apiserver_storage_list_fetched_objects_total{group=\"\",resource=\"pods\",storage=\"etcd\",index=\"\"} 20
apiserver_terminated_watchers_total{group=\"\",resource=\"pods\"} 6
apiserver_terminated_watchers_total{group=\"apps\",resource=\"deployments\"} 1
process_start_time_seconds 1.7721e+09
";

    fn read(pieces: &[&[u8]]) -> Result<ApiserverMetrics, Unreadable> {
        let mut reader = ApiserverPageReader::default();
        for piece in pieces {
            reader.push(piece)?;
        }
        reader.finish()
    }

    #[test]
    fn a_page_is_summed_by_what_is_wanted_of_it() {
        let page = read(&[PAGE.as_bytes()]).unwrap();

        let counters = [
            (Counter::PodsBound, 40),
            (Counter::EventsCreated, 500),
            (Counter::AuditLost, 5),
            (Counter::WatchesEnded, 7),
        ];
        assert_eq!(page.counters, counters.into());
        assert_eq!(page.seats, [("workload-low".to_owned(), Seats { used: 11, nominal: 245, limit: 240 })].into());
        let webhook = WebhookCounts { calls: 5, millis: 2000, not_called: 2, failed_open: 1 };
        assert_eq!(page.webhooks, [("deny.example.org".to_owned(), webhook)].into());
        assert_eq!(page.listed, [("pods".to_owned(), Listed { from_etcd: 20, from_cache: 30 })].into());
        assert_eq!(page.watches, [("deployments.apps".to_owned(), 9)].into());
        let loaded = &page.configurations[&Configuration::Encryption];
        assert_eq!((loaded.failed, loaded.hash.as_deref(), loaded.succeeded_at), (7, Some("sha256:2"), None));
        assert_eq!(loaded.failed_at.unwrap().as_millis(), 1_772_000_000_000);
        let deprecated = DeprecatedApi { removed_in: "1.38".into(), what: "things.g.io/v1beta3".into() };
        assert_eq!(page.deprecated, [deprecated].into());
        assert_eq!(page.started.unwrap().as_millis(), 1_772_100_000_000);
        assert_eq!(page.bytes, u64::try_from(PAGE.len()).unwrap());
    }

    #[test]
    fn what_is_cut_or_of_somebody_else_is_no_page() {
        assert_eq!(read(&[&PAGE.as_bytes()[..PAGE.len() - 3]]), Err(Unreadable::Cut));
        assert_eq!(read(&[b"<html>sign in</html>\n"]), Err(Unreadable::Foreign));
        assert_eq!(read(&[b"process_start_time_seconds 1\n"]), Err(Unreadable::Foreign));
    }

    #[test]
    fn names_without_number_take_no_more_than_their_bounds() {
        let line = |n: u32| {
            format!(
                "apiserver_admission_webhook_fail_open_count{{name=\"w{n}\"}} 1\n\
                 apiserver_storage_list_fetched_objects_total{{resource=\"r{n}\"}} 1\n\
                 apiserver_longrunning_requests{{resource=\"r{n}\",verb=\"WATCH\"}} 1\n\
                 apiserver_flowcontrol_nominal_limit_seats{{priority_level=\"l{n}\"}} 1\n\
                 apiserver_requested_deprecated_apis{{resource=\"r{n}\",removed_release=\"1.40\"}} 1\n"
            )
        };
        let page: String = (0..20_000).map(line).collect();
        let page = read(&[page.as_bytes()]).unwrap();

        assert_eq!(page.webhooks.len(), ApiserverMetrics::MAX_WEBHOOKS);
        assert_eq!(page.listed.len(), ApiserverMetrics::MAX_RESOURCES);
        assert_eq!(page.watches.len(), ApiserverMetrics::MAX_RESOURCES);
        assert_eq!(page.seats.len(), ApiserverMetrics::MAX_LEVELS);
        assert_eq!(page.deprecated.len(), ApiserverMetrics::MAX_DEPRECATED);
    }

    proptest! {
        #[test]
        fn however_a_page_is_cut_into_pieces_it_says_the_same(cuts in proptest::collection::vec(0..PAGE.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts.into_iter().chain([PAGE.len()]) {
                pieces.push(&PAGE.as_bytes()[from..cut]);
                from = cut;
            }
            prop_assert_eq!(read(&pieces), read(&[PAGE.as_bytes()]));
        }

        #[test]
        fn numbers_and_labels_of_any_kind_are_read_without_a_panic(
            value in "(-?[0-9]{1,20}(\\.[0-9]{1,3})?(e[+-]?[0-9]{1,3})?|NaN|\\+Inf|-Inf)",
            label in "[ -~]{0,20}",
        ) {
            let label = label.replace(['\\', '"'], "");
            let page: String = FAMILIES_READ.iter().map(|name| {
                format!("{name}{{name=\"{label}\",priority_level=\"{label}\",status=\"failure\",removed_release=\"{label}\",resource=\"{label}\"}} {value}\n")
            }).collect();
            prop_assert!(read(&[page.as_bytes()]).is_ok());
        }
    }

    const FAMILIES_READ: [&str; 6] = [
        "apiserver_admission_webhook_admission_duration_seconds_sum",
        "apiserver_audit_error_total",
        "apiserver_encryption_config_controller_automatic_reload_last_timestamp_seconds",
        "apiserver_flowcontrol_current_executing_seats",
        "apiserver_requested_deprecated_apis",
        "process_start_time_seconds",
    ];
}
