//! The modules' logs, seen from the loop: pipes go to the threads that read them, what those have found out
//! about a process's end comes back, and so do the lines that are followed.

use super::*;
use crate::{
    log_reader::{Flushed, News},
    module_log::LiveLine,
};

/// Lines for followers that are taken at once, so that others are served in between.
const LINES_AT_ONCE: usize = 256;

/// An end that is decided upon as soon as all that the process has written is taken in, and it is known whether
/// the memory killer was the cause.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    /// Requests that had not been written to its channel completely.
    pub(crate) unsent: Vec<RequestId>,
    /// The last of what it printed, once that is known.
    pub(crate) stderr: Option<Vec<String>>,
    pub(crate) memory: Memory,
    /// Nothing is left of its tree, either; how many had outlived it.
    pub(crate) gone: Option<u32>,
}

/// Whether the kernel's memory killer ended a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// That is being looked at.
    Asked,
    Known(Option<MemoryKill>),
}

impl HostState {
    /// Reads the news of a thread that reads logs from now on.
    pub(super) fn watch_logs(&mut self, reader: usize) {
        let socket = self.logs.reader(reader).socket.clone();
        self.watch(Source::LogsRead(reader, socket));
    }

    /// Finds the thread for the pipes of a process; the news of a new thread are read from now on.
    ///
    /// # Errors
    /// When the system lacks what another thread takes.
    pub(super) fn log_reader_for(&mut self, pipes: usize) -> io::Result<usize> {
        let before = self.logs.readers();
        let reader = self.logs.reader_for(pipes)?;
        if reader == before {
            self.watch_logs(reader);
        }
        Ok(reader)
    }

    /// Sends what waits for a thread that reads logs.
    pub(super) fn flush_logs(&mut self, reader: usize) {
        match self.logs.flush(reader) {
            Flushed::All => {}
            Flushed::NoRoom if self.logs.reader(reader).awaits_room => {}
            Flushed::NoRoom => {
                let end = self.logs.reader(reader);
                end.awaits_room = true;
                let socket = end.socket.clone();
                self.watch(Source::LogsWrite(reader, socket));
            }
            Flushed::Lacking => self.retry_in(ORDER_RETRY_INTERVAL),
        }
    }

    pub(super) fn flush_all_logs(&mut self) {
        for reader in 0..self.logs.readers() {
            self.flush_logs(reader);
        }
    }

    /// A thread that reads logs has news.
    pub(super) fn logs_readable(&mut self, reader: usize) {
        let news = self.logs.take_news(reader);
        // Lines come before what follows from an end, as they were printed before it.
        let has_more = self.send_lines();
        for news in news {
            match news {
                News::Drained { run, stderr } => self.drained(RunId(run), stderr),
                News::Closed { .. } => {}
                News::Lost { run } => {
                    let text = "[the descriptors of what it prints were lost on their way: it is not read]";
                    self.notice(RunId(run), text.into());
                }
                News::Shared(reason) => {
                    tracing::warn!(
                        "what modules print takes two descriptors of the host for each: a thread cannot have a \
                         table of its own: {reason}"
                    );
                    self.logs_share_table();
                }
            }
        }
        if self.logs.reader(reader).has_ended {
            return self.reader_lost(reader);
        }
        self.watch_logs(reader);
        if has_more {
            self.watch(Source::LogLines);
        }
    }

    /// A thread that reads logs is gone, for which only a fault of its own can be the reason: what modules
    /// print from now on is lost, and no end waits for it.
    fn reader_lost(&mut self, reader: usize) {
        tracing::error!("a thread that reads what modules print has ended; its modules' logs end with it");
        let runs: Vec<RunId> = self
            .processes
            .iter()
            .filter(|(_, process)| process.log_reader == reader && process.ended.is_some())
            .map(|(run, _)| *run)
            .collect();
        for run in runs {
            self.drained(run, Vec::new());
        }
    }

    /// Sends followers of logs the next lines; returns whether there are more.
    pub(super) fn send_lines(&mut self) -> bool {
        let lines = self.logs.live_lines(LINES_AT_ONCE);
        let has_more = lines.len() >= LINES_AT_ONCE;
        for LiveLine { module, number, line } in lines {
            if !self.send_line(&module, number, &line) {
                self.logs.existing(&module).into_iter().for_each(|log| log.unfollow());
            }
        }
        self.end_followed_logs();
        has_more
    }

    /// Ends the logs of modules that were removed, of which all lines have been sent.
    pub(super) fn end_followed_logs(&mut self) {
        while let Some((_, last, module)) = self.ending_logs.pop_front_if(|(said, ..)| *said <= self.logs.lines_taken())
        {
            self.end_logs(&module, last);
        }
    }

    /// All that a process had written is in its log.
    fn drained(&mut self, run: RunId, stderr: Vec<String>) {
        if let Some(ended) = self.processes.get_mut(&run).and_then(|process| process.ended.as_mut()) {
            ended.stderr = Some(stderr);
            self.decide(run);
        }
    }

    /// Decides upon the end of a process, if all is known of it.
    pub(super) fn decide(&mut self, run: RunId) {
        let is_known = |ended: &mut Ended| ended.stderr.is_some() && ended.memory != Memory::Asked;
        let ended = self.processes.get_mut(&run).and_then(|process| process.ended.take_if(is_known));
        let Some(Ended { exit, unsent, stderr: Some(stderr), memory: Memory::Known(memory_kill), gone }) = ended else {
            return;
        };
        self.core.handle_exited(self.now, run, exit, Evidence { stderr, unsent, memory_kill });
        self.perform();
        if let Some(killed) = gone {
            // Callers and promoted spares learn of an end before the next start begins.
            self.flush();
            self.gone(run, killed);
            self.perform();
        }
    }

    /// An end is decided without waiting: the thread that has what the process printed is not asked.
    pub(super) fn decide_at_once(&mut self, run: RunId) {
        self.drained(run, Vec::new());
    }

    /// Writes a notice of the host into a module's log.
    pub(super) fn notice(&mut self, run: RunId, text: String) {
        let Some(process) = self.processes.get(&run) else { return };
        if self.logs.notice(process.config.name.as_str(), run.0, text) {
            self.watch(Source::LogLines);
        }
    }
}
