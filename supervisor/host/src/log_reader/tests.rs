//! The thread with real pipes, and without a host.

use super::*;
use crate::{alarm::Alarm, log_files::LogQueue, log_lines::Line, module_log::Live};
use nix::{fcntl::OFlag, unistd::pipe2};
use std::{
    fs::File,
    io::Write,
    os::fd::AsFd,
    time::{Duration, Instant},
};

const BOUNDS: Bounds = Bounds { line_bytes_max: 1024, lines_per_second: 1000, burst: 1000 };

struct Test {
    reader: LogReader,
    log: Arc<ModuleLog>,
    sink: Sink,
    seen: VecDeque<News>,
}

fn test(what: impl AsyncFnOnce(Test)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let sink = Sink { files: LogQueue::nowhere(), live: Arc::<Live>::default() };
        let reader = LogReader::start(sink.clone(), BOUNDS).unwrap();
        let log = Arc::new(ModuleLog::new("m", 64 * 1024));
        let test = Test { reader, log, sink, seen: VecDeque::new() };
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Instant::now() + Duration::from_secs(20));
        let (waker, mut running) = (alarm.receiver(), std::pin::pin!(what(test)));
        std::future::poll_fn(|context| {
            assert!(waker.poll(context).is_pending(), "it takes longer than 20 s");
            running.as_mut().poll(context)
        })
        .await;
    });
}

fn pipe() -> (OwnedFd, File) {
    let (ours, theirs) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
    (ours, theirs.into())
}

impl Test {
    /// A process that prints, and what it prints to.
    fn open(&mut self, run: u64) -> [File; 2] {
        let ((stderr, to_stderr), (stdout, to_stdout)) = (pipe(), pipe());
        self.reader.open(run, self.log.clone(), vec![(Stream::Stderr, stderr), (Stream::Stdout, stdout)]);
        assert_eq!(self.reader.flush(), Flushed::All);
        [to_stderr, to_stdout]
    }

    async fn news(&mut self) -> News {
        loop {
            if let Some(news) = self.seen.pop_front() {
                return news;
            }
            let news = self.reader.take_news();
            self.seen.extend(news);
            assert!(!self.reader.has_ended);
            if self.seen.is_empty() {
                self.reader.socket.ready(Interest::READABLE).await.unwrap();
            }
        }
    }

    async fn drained(&mut self, run: u64) -> Vec<String> {
        self.reader.drain(run);
        assert_eq!(self.reader.flush(), Flushed::All);
        match self.news().await {
            News::Drained { run: other, stderr } if other == run => stderr,
            other => panic!("{other:?}"),
        }
    }

    fn lines(&self) -> Vec<(Stream, String)> {
        self.log.last(100).into_iter().map(|Line { stream, text, .. }| (stream, text.to_string())).collect()
    }
}

#[test]
fn what_was_written_before_the_end_is_known_at_the_end_also_where_others_hold_the_pipe() {
    test(async |mut test| {
        for run in 1..200 {
            let [mut stderr, mut stdout] = test.open(run);
            let copy = stderr.try_clone().unwrap();
            stdout.write_all(b"done\n").unwrap();
            stderr.write_all(b"one\ntwo\nFATAL: three").unwrap();
            drop((stderr, stdout));
            assert_eq!(test.drained(run).await, ["one", "two", "FATAL: three"]);
            drop(copy);
            test.reader.close(run);
            assert_eq!(test.reader.flush(), Flushed::All);
            assert_eq!(test.news().await, News::Closed { pipes: 2 });
        }
        let expected = (Stream::Stdout, "done".to_owned());
        assert!(test.lines().contains(&expected), "{:?}", test.lines());
    });
}

#[test]
fn the_streams_of_a_process_are_distinguished() {
    test(async |mut test| {
        let [mut stderr, mut stdout] = test.open(7);
        stdout.write_all(b"out\n").unwrap();
        test.drained(7).await;
        stderr.write_all(b"err\n").unwrap();
        test.drained(7).await;
        assert_eq!(test.lines(), [(Stream::Stdout, "out".to_owned()), (Stream::Stderr, "err".to_owned())]);
    });
}

#[test]
fn a_pipe_costs_its_sender_no_descriptor_and_ends_when_its_process_is_let_go_of() {
    test(async |mut test| {
        let [mut stderr, _stdout] = test.open(1);
        test.drained(1).await;
        // Only the thread has the reading end, so what is written to the other one ends with it.
        stderr.write_all(b"x").unwrap();
        test.reader.close(1);
        test.reader.flush();
        assert_eq!(test.news().await, News::Closed { pipes: 2 });
        assert_eq!(stderr.write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn the_thread_keeps_nothing_of_what_its_starter_has_open() {
    test(async |mut test| {
        let (ours, theirs) = pipe();
        let mut second = test.reader;
        // A second one is started while the pipe is open, and has no copy of it.
        test.reader = LogReader::start(test.sink.clone(), BOUNDS).unwrap();
        drop(theirs);
        let count = nix::unistd::read(&ours, &mut [0]);
        assert_eq!(count, Ok(0), "another copy of the writing end is open");
        assert!(nix::unistd::read(test.reader.socket.as_fd(), &mut [0]).is_err());
        assert!(second.take_news().is_empty() && test.reader.take_news().is_empty());
    });
}

#[test]
fn lines_that_are_followed_come_to_the_loop_and_others_do_not_wake_it() {
    test(async |mut test| {
        let [mut stderr, _stdout] = test.open(1);
        stderr.write_all(b"unseen\n").unwrap();
        test.drained(1).await;
        assert!(test.sink.live.take(10).is_empty());
        let (_, newest) = test.log.follow(10);
        stderr.write_all(b"seen\n").unwrap();
        while test.sink.live.take(10).is_empty() {
            test.reader.socket.ready(Interest::READABLE).await.unwrap();
            assert!(test.reader.take_news().is_empty());
        }
        assert_eq!(newest, 1);
    });
}

#[test]
fn the_end_of_the_host_ends_the_thread_with_all_lines_taken_in() {
    test(async |mut test| {
        let [mut stderr, _stdout] = test.open(1);
        stderr.write_all(b"last words").unwrap();
        drop(test.reader);
        assert_eq!(test.log.last(1)[0].text.as_ref(), "last words");
    });
}

#[test]
fn orders_for_which_there_is_no_room_are_sent_once_there_is() {
    test(async |mut test| {
        let files: Vec<_> = (0..2000).map(|run| (run, test.log.clone())).collect();
        for (run, log) in files {
            let (stderr, _) = pipe();
            test.reader.open(run, log, vec![(Stream::Stderr, stderr)]);
            test.reader.close(run);
        }
        let mut closed = 0;
        while closed < 2000 {
            while test.reader.flush() == Flushed::NoRoom {
                test.reader.socket.ready(Interest::WRITABLE).await.unwrap();
            }
            assert_eq!(test.news().await, News::Closed { pipes: 1 });
            closed += 1;
        }
    });
}

/// How the kernel schedules a thread of this process: 0 like all others, 3 like one that yields the processor.
fn policy(thread: i32) -> u32 {
    let stat = std::fs::read(format!("/proc/self/task/{thread}/stat")).unwrap();
    bulkhead_protocol::ProcessStat::parse(&stat).unwrap().policy
}

#[test]
fn the_thread_gives_way_but_for_as_long_as_an_end_waits_for_it() {
    test(async |mut test| {
        let [_stderr, _stdout] = test.open(1);
        let number = test.reader.number;
        // It answers the first order before it has anything else to do.
        test.drained(1).await;
        let deadline = Instant::now() + Duration::from_secs(20);
        while policy(number) != 3 {
            assert!(Instant::now() < deadline, "it does not give way: {}", policy(number));
            std::thread::yield_now();
        }
        // The order is not sent yet, so it does not end that.
        test.reader.drain(1);
        assert_eq!(policy(number), 0);
        assert_eq!(test.reader.flush(), Flushed::All);
        assert!(matches!(test.news().await, News::Drained { run: 1, .. }));
        while policy(number) != 3 {
            assert!(Instant::now() < deadline, "it goes on as all others do");
            std::thread::yield_now();
        }
    });
}
