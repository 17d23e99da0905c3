//! How often, and after which pause, a process that dies is started again.

use std::time::Duration;

/// Milliseconds until a process that died is started again: the first time, doubled each time.
const FIRST_PAUSE_MS: u64 = 200;

/// Seconds after which a process has stood: what happened before counts no more.
pub(super) const STOOD_S: u64 = 10;

/// Deaths in a row, each before the process had stood, after which it is not started again: 3 s of pauses, time for a
/// passing fault, and short for a mistake in the configuration.
pub(super) const QUICK_DEATHS: u32 = 5;

/// The deaths of one process.
#[derive(Debug, Default)]
pub(super) struct Patience {
    quick_deaths: u32,
}

impl Patience {
    /// It died after so long a life: the pause until it is started again; `None` when that is of no use.
    pub(super) fn after(&mut self, lived: Duration) -> Option<Duration> {
        if lived >= Duration::from_secs(STOOD_S) {
            self.quick_deaths = 0;
            return Some(Duration::from_millis(FIRST_PAUSE_MS));
        }
        self.quick_deaths += 1;
        if self.quick_deaths >= QUICK_DEATHS {
            return None;
        }
        Some(Duration::from_millis(
            FIRST_PAUSE_MS << (self.quick_deaths - 1),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(STOOD_S);

    fn pauses(lives: &[Duration]) -> Vec<Option<u64>> {
        let mut patience = Patience::default();
        let pause = |lived: &Duration| patience.after(*lived).map(|p| p.as_millis() as u64);
        lives.iter().map(pause).collect()
    }

    #[test]
    fn pauses_grow_until_it_is_given_up() {
        let pauses = pauses(&[QUICK; QUICK_DEATHS as usize]);
        assert_eq!(pauses, [Some(200), Some(400), Some(800), Some(1_600), None]);
    }

    #[test]
    fn one_that_stood_begins_anew() {
        let pauses = pauses(&[QUICK, QUICK, LONG, QUICK, QUICK, QUICK, QUICK, QUICK]);
        assert_eq!(pauses[2..5], [Some(200), Some(200), Some(400)]);
        assert_eq!(pauses[6..], [Some(1_600), None]);
    }
}
