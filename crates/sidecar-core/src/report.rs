//! Finished direct work, told to the registry in batches: the only trace it leaves there.

use std::collections::VecDeque;

use seamesh_proto::signaling::{ClientSignal, DirectTask, TaskReport};

use crate::Note;
use crate::effects::Effects;
use crate::limits::{MAX_REPORTS, REPORT_BATCH, REPORT_DELAY_MS};
use crate::timers::Reason;

/// What is still to be told.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    waiting: VecDeque<DirectTask>,
    dropped: u64,
}

impl Reports {
    /// Takes one piece of finished work.
    pub(crate) fn add(&mut self, task: DirectTask, fx: &mut Effects) {
        if self.waiting.len() >= MAX_REPORTS {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(task);
        if self.waiting.len() >= REPORT_BATCH {
            self.flush(fx);
        } else {
            let at = fx.now.plus(REPORT_DELAY_MS);
            fx.timers.set_if_unset(Reason::Reports, at);
        }
    }

    /// Tells everything, if the registry is there.
    pub(crate) fn flush(&mut self, fx: &mut Effects) {
        if !fx.is_up {
            return;
        }
        fx.timers.cancel(&Reason::Reports);
        if self.dropped > 0 {
            let count = std::mem::take(&mut self.dropped);
            fx.note(Note::ReportsDropped { count });
        }
        while !self.waiting.is_empty() {
            let batch = self.waiting.len().min(REPORT_BATCH);
            let tasks = self.waiting.drain(..batch).collect();
            fx.signal(None, &ClientSignal::TaskReport(TaskReport { tasks }));
        }
    }
}
