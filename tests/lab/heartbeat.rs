//! The heartbeat receiver: notes the instant of every request, in the mail place.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::clock;
use crate::net::{Network, Place};

/// Port of the receiver; any path is a beat.
pub(crate) const PORT: u16 = 8080;

/// The running receiver. Its threads end with the lab process.
pub(crate) struct Heartbeat {
    beats: Arc<Mutex<Vec<Instant>>>,
}

impl Heartbeat {
    /// Listens in the mail place.
    pub(crate) fn listen(network: &Network) -> Result<Self> {
        let listener = network.inside(Place::Mail, || Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?))?;
        let beats = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&beats);
        thread::spawn(move || {
            for tcp in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                thread::spawn(move || answer(&tcp, &noted).is_ok());
            }
        });
        Ok(Self { beats })
    }

    /// Knows of no beat that came before.
    pub(crate) fn forget(&self) {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// When each beat came.
    pub(crate) fn beats(&self) -> Vec<Instant> {
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The longest silence since `start`, the time since the last beat included.
    pub(crate) fn longest_gap(&self, start: Instant) -> Duration {
        let mut marks: Vec<Instant> = self.beats().into_iter().filter(|&beat| beat > start).collect();
        marks.push(clock::now());
        let earlier = std::iter::once(&start).chain(&marks);
        marks.iter().zip(earlier).map(|(&later, &mark)| later.saturating_duration_since(mark)).max().unwrap_or_default()
    }
}

fn answer(mut tcp: &TcpStream, beats: &Mutex<Vec<Instant>>) -> Result<()> {
    tcp.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::new(tcp).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    beats.lock().unwrap_or_else(PoisonError::into_inner).push(clock::now());
    tcp.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")?;
    Ok(())
}
