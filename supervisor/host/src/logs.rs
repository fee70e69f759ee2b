//! The logs of all modules, as the host's thread has them: which thread reads what a process prints, and what is
//! kept of it. Files are in [`crate::log_files`], lines in [`crate::log_lines`].

use crate::{
    log_files::LogQueue,
    log_lines::{Bounds, Line, Stream},
    log_reader::{self, Flushed, LogReader, News},
    module_log::{Live, LiveLine, ModuleLog, Sink},
};
use bulkhead_config::HostConfig;
use nix::sys::resource::{Resource, getrlimit};
use std::{collections::HashMap, io, os::fd::OwnedFd, sync::Arc};

/// The logs of all modules.
#[derive(Debug)]
pub(crate) struct Logs {
    modules: HashMap<String, Arc<ModuleLog>>,
    readers: Vec<LogReader>,
    sink: Sink,
    bounds: Bounds,
    tail_bytes: usize,
}

impl Logs {
    /// # Errors
    /// When the first of the threads that read cannot be started.
    pub(crate) fn start(config: &HostConfig, files: LogQueue) -> io::Result<Logs> {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let logs = &config.logs;
        let bounds = Bounds {
            line_bytes_max: logs.line_bytes_max,
            lines_per_second: count(logs.lines_per_second),
            burst: count(logs.burst),
        };
        let sink = Sink { files, live: Arc::<Live>::default() };
        let first = LogReader::start(sink.clone(), bounds)?;
        Ok(Logs { modules: HashMap::new(), readers: vec![first], sink, bounds, tail_bytes: logs.tail })
    }

    /// The log of a module, which it has from its first line on.
    pub(crate) fn module(&mut self, name: &str) -> Arc<ModuleLog> {
        if let Some(log) = self.modules.get(name) {
            return log.clone();
        }
        let log = Arc::new(ModuleLog::new(name, self.tail_bytes));
        self.modules.insert(name.to_owned(), log.clone());
        log
    }

    /// The log of a module that has one.
    pub(crate) fn existing(&self, name: &str) -> Option<&Arc<ModuleLog>> {
        self.modules.get(name)
    }

    pub(crate) fn forget(&mut self, name: &str) {
        self.modules.remove(name);
    }

    /// Writes a notice of the host into a module's log; returns whether it waits for the loop.
    pub(crate) fn notice(&mut self, name: &str, run: u64, text: String) -> bool {
        let log = self.module(name);
        self.sink.say(&log, run, vec![Line::new(Stream::Host, text)])
    }

    /// How many lines for followers of logs there have been so far.
    pub(crate) fn lines_said(&self) -> u64 {
        self.sink.live.said()
    }

    /// How many of them have been taken.
    pub(crate) fn lines_taken(&self) -> u64 {
        self.sink.live.taken()
    }

    /// The next lines for followers of logs, at most so many.
    pub(crate) fn live_lines(&self, most: usize) -> Vec<LiveLine> {
        self.sink.live.take(most)
    }

    /// A thread that has room for so many pipes. There is one more whenever a table of descriptors is full: one in
    /// all, unless there are thousands of modules.
    ///
    /// # Errors
    /// When there is none and no other one can be started.
    pub(crate) fn reader_for(&mut self, pipes: usize) -> io::Result<usize> {
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(log_reader::OWN_DESCRIPTORS);
        let has_room = |reader: &LogReader| !reader.has_ended && reader.pipes + pipes <= most;
        if let Some(found) = self.readers.iter().position(has_room) {
            return Ok(found);
        }
        self.readers.push(LogReader::start(self.sink.clone(), self.bounds)?);
        Ok(self.readers.len() - 1)
    }

    /// Passes on the pipes of a process, to be read from now on.
    pub(crate) fn open(&mut self, reader: usize, name: &str, run: u64, pipes: Vec<(Stream, OwnedFd)>) {
        let log = self.module(name);
        self.readers[reader].open(run, log, pipes);
    }

    pub(crate) fn reader(&mut self, reader: usize) -> &mut LogReader {
        &mut self.readers[reader]
    }

    /// How many threads read.
    pub(crate) fn readers(&self) -> usize {
        self.readers.len()
    }

    pub(crate) fn flush(&mut self, reader: usize) -> Flushed {
        self.readers[reader].flush()
    }

    pub(crate) fn take_news(&mut self, reader: usize) -> Vec<News> {
        let reader = &mut self.readers[reader];
        let news = reader.take_news();
        let closed = news.iter().map(|news| if let News::Closed { pipes } = news { *pipes } else { 0 });
        reader.pipes -= closed.sum::<usize>();
        news
    }
}
