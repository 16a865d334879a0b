//! The collectors, the mailer and the heartbeat as the configuration has them.
//!
//! All are made or none, so that a configuration that cannot be used leaves everything as it is.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::collect::Collectors;
use crate::config::settings::{Settings, Vantage};
use crate::model::observation::Observation;
use crate::model::time::Clock;
use crate::notify::email::Email;
use crate::notify::heartbeat::Heartbeat;

/// Everything that is made from the configuration.
pub(super) struct Edges {
    pub(super) collectors: Collectors,
    pub(super) email: Option<Arc<Email>>,
    pub(super) heartbeat: Option<Arc<Heartbeat>>,
    pub(super) settings: Settings,
}

impl Edges {
    pub(super) fn new(settings: Settings, clock: Clock, observed: mpsc::Sender<Observation>) -> anyhow::Result<Self> {
        Ok(Self {
            collectors: Collectors::new(&settings, clock, observed)?,
            email: email(&settings)?,
            heartbeat: settings.heartbeat.as_ref().map(|heartbeat| Arc::new(Heartbeat::new(heartbeat))),
            settings,
        })
    }

    /// The same for other settings, and which of those need a restart. What did not change is shared.
    pub(super) fn replaced(&self, mut settings: Settings) -> anyhow::Result<(Self, Vec<String>)> {
        let remarks = self.keep_fixed(&mut settings.vantage);
        let is_same_mail = self.settings.mail == settings.mail && self.settings.vantage.name == settings.vantage.name;
        let is_same_beat = self.settings.heartbeat == settings.heartbeat;
        let heartbeat = settings.heartbeat.as_ref();
        let edges = Self {
            collectors: self.collectors.replaced(&settings)?,
            email: if is_same_mail { self.email.clone() } else { email(&settings)? },
            heartbeat: match &self.heartbeat {
                known if is_same_beat => known.clone(),
                _ => heartbeat.map(|heartbeat| Arc::new(Heartbeat::new(heartbeat))),
            },
            settings,
        };
        Ok((edges, remarks))
    }

    /// Overall deadline of one delivery.
    pub(super) const fn delivery_deadline(&self) -> Duration {
        self.settings.policy.delivery_deadline
    }

    /// The port and the socket are bound and the database is open: all stay as they are until a restart.
    fn keep_fixed(&self, wanted: &mut Vantage) -> Vec<String> {
        let fixed = &self.settings.vantage;
        let mut remarks = Vec::new();
        if wanted.listen != fixed.listen {
            let (wanted, fixed) = (wanted.listen, fixed.listen);
            remarks.push(format!("'listen: {wanted}' takes a restart; until then {fixed} answers"));
        }
        if wanted.store != fixed.store {
            let (wanted, fixed) = (wanted.store.display(), fixed.store.display());
            remarks.push(format!("'store: {wanted}' takes a restart; until then {fixed} is used"));
        }
        if wanted.control != fixed.control {
            remarks.push("a change of 'control' takes a restart; until then the socket stays where it is".to_owned());
        }
        if wanted.web_config != fixed.web_config {
            remarks.push("a change of 'web_config', or of what it must ask for, takes a restart".to_owned());
        }
        if wanted.recordings != fixed.recordings {
            remarks
                .push("a change of 'recordings' takes a restart; until then as much is recorded as before".to_owned());
        }
        wanted.recordings = fixed.recordings;
        wanted.listen = fixed.listen;
        wanted.web_config.clone_from(&fixed.web_config);
        wanted.control.clone_from(&fixed.control);
        wanted.store.clone_from(&fixed.store);
        remarks
    }
}

fn email(settings: &Settings) -> anyhow::Result<Option<Arc<Email>>> {
    let Some(mail) = &settings.mail else { return Ok(None) };
    let email = Arc::new(Email::new(mail, &settings.vantage.name)?);
    let early = Arc::clone(&email);
    tokio::spawn(async move { early.prepare().await });
    Ok(Some(email))
}
