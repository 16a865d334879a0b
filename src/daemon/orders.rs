//! Orders of people, and when an order is answered: once it is durable.

use std::collections::BTreeMap;

use tokio::sync::oneshot;

/// Whether an order is on disk, or why not.
type Kept = Result<(), String>;

/// People waiting for the store, by the persist that carries their order.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiting: BTreeMap<u64, Vec<oneshot::Sender<Kept>>>,
}

impl Waiting {
    /// `answer` gets the result of persist `sequence`.
    pub(super) fn expect(&mut self, sequence: u64, answer: oneshot::Sender<Kept>) {
        self.waiting.entry(sequence).or_default().push(answer);
    }

    /// Persist `sequence` has ended. Results come in order, so an earlier one that is still awaited was lost.
    pub(super) fn note(&mut self, sequence: u64, result: &Kept) {
        let later = self.waiting.split_off(&sequence.saturating_add(1));
        for (awaited, answers) in std::mem::replace(&mut self.waiting, later) {
            for answer in answers {
                let lost = || Err("what became of it in the store is not known".to_owned());
                // The client may have closed its connection.
                answer.send(if awaited == sequence { result.clone() } else { lost() }).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hears_of_its_own_persist_and_of_one_that_was_lost() {
        let mut waiting = Waiting::default();
        let mut heard: Vec<_> = [3, 4, 5]
            .into_iter()
            .map(|sequence| {
                let (answer, heard) = oneshot::channel();
                waiting.expect(sequence, answer);
                heard
            })
            .collect();

        waiting.note(4, &Err("disk full".into()));

        assert!(heard[0].try_recv().unwrap().unwrap_err().contains("not known"));
        assert_eq!(heard[1].try_recv().unwrap(), Err("disk full".into()));
        assert!(heard[2].try_recv().is_err(), "still waiting");
        waiting.note(5, &Ok(()));
        assert_eq!(heard[2].try_recv().unwrap(), Ok(()));
    }
}
