//! The modules' side of the host: what comes over their channels and their log pipes.

use super::*;
use tokio::net::unix::pipe::Receiver;

/// How a log pipe is read.
type ReadLog = fn(&Receiver, &mut [u8]) -> io::Result<usize>;

/// Reads what is there, also what came since the loop last looked: the last words of a process.
pub(super) fn read_now(pipe: &Receiver, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(pipe, buffer)?)
}

impl Host {
    pub(super) fn run_readable(&mut self, run: RunId) {
        let Some(process) = self.processes.get_mut(&run) else { return };
        if process.has_exited || process.link.reading.is_some() {
            // What is being read elsewhere comes first; the link is looked at again behind it.
            return;
        }
        process.link.read(&mut self.buffer);
        self.portion = Portion::default();
        if !self.run_messages(run) {
            return;
        }
        let now = self.now;
        let Some(process) = self.processes.get_mut(&run) else { return };
        process.link.account.charge(now, self.portion.nanos());
        if process.link.reading.is_some() {
            return;
        }
        match process.link.rest() {
            Input::More => self.watch_in(Source::Next(LinkId::Run(run)), Line::Behind),
            Input::Open => {
                let (io, account) = (process.link.io.clone(), process.link.account);
                let line = self.line_of(&account);
                self.watch_in(Source::Read(LinkId::Run(run), io), line);
            }
            Input::Closed => {
                self.core.handle_channel_closed(self.now, run);
                self.channel_ended(run);
            }
            Input::Broken(error @ FrameError::Truncated { .. }) => {
                self.core.handle_channel_truncated(self.now, run, error.to_string());
                self.channel_ended(run);
            }
            Input::Broken(error) => self.core.handle_violation(self.now, run, error.to_string()),
        }
    }

    /// Handles what was read from a module, as much as one portion is; `false` when nothing more is to be
    /// read from it.
    pub(super) fn run_messages(&mut self, run: RunId) -> bool {
        loop {
            let Some(process) = self.processes.get_mut(&run).filter(|process| !process.is_cut_off) else {
                return false;
            };
            if process.link.reading.is_some() || (self.portion.is_over() && !self.is_draining) {
                return true;
            }
            match process.link.take() {
                None => return true,
                Some(Ok(Message::Response(response))) => {
                    self.portion.add_message();
                    self.core.handle_response(self.now, run, response);
                }
                Some(Ok(Message::Request(request))) => self.request(Caller::Run(run), request),
                Some(Err(error)) => {
                    self.core.handle_violation(self.now, run, error.reason);
                    return false;
                }
            }
            self.message_handled();
        }
    }

    pub(super) fn log_readable(&mut self, run: RunId, stream: Stream) {
        let open = self.read_log(run, stream, LOG_READS_PER_TURN, Receiver::try_read);
        if open
            && let Some(process) = self.processes.get(&run)
            && let Some(log) = process.logs.iter().find(|log| log.stream == stream)
        {
            let pipe = log.pipe.clone();
            self.watch(Source::Log(run, stream, pipe));
        }
    }

    /// Reads a log pipe at most `reads` times; `false` once it has ended.
    pub(super) fn read_log(&mut self, run: RunId, stream: Stream, reads: usize, read: ReadLog) -> bool {
        let Some(process) = self.processes.get_mut(&run) else { return false };
        let Some(log) = process.logs.iter_mut().find(|log| log.stream == stream && log.is_open) else { return false };
        let mut lines = Vec::new();
        for _ in 0..reads {
            match read(&log.pipe, &mut self.buffer) {
                Ok(0) => log.is_open = false,
                Ok(count) => {
                    log.splitter.feed(self.now, &self.buffer[..count], &mut |line| lines.push(line));
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => log.is_open = false,
            }
            break;
        }
        if !log.is_open {
            log.splitter.finish(self.now, &mut |line| lines.push(line));
        }
        let is_open = log.is_open;
        let module = process.config.name.to_string();
        for line in lines {
            self.log(run, &module, line);
        }
        is_open
    }

    pub(super) fn log(&mut self, run: RunId, module: &str, line: LogLine) {
        let text = format!("{} {} {}", line.time, line.stream.name(), line.text);
        self.log_files.write(&Arc::from(module), text);
        if !self.followers.is_empty() {
            self.tell_line(module, &line);
        }
        let tail_bytes = self.config.logs.tail;
        self.tails.entry(module.to_owned()).or_insert_with(|| Tail::new(tail_bytes)).push(run.0, line);
    }

    /// Puts a remark of the host's own into a module's log.
    pub(super) fn remark(&mut self, run: RunId, text: String) {
        let Some(process) = self.processes.get(&run) else { return };
        let module = process.config.name.to_string();
        self.log(run, &module, LogLine::new(Stream::Host, text));
    }
}
