use std::fs;

use super::super::chain::{Note, hash, nothing_before};
use super::*;

fn record(text: &str) -> Record {
    let mut record = Record::default();
    record.add("event", text);
    record
}

fn lines(path: &Path) -> Vec<(Chained, String)> {
    let text = fs::read_to_string(path).expect("read");
    let lines = text.lines().filter_map(|line| Some((Chained::of(line.as_bytes())?, hash(line.as_bytes()))));
    lines.collect()
}

struct Log {
    dir: tempfile::TempDir,
    file: AuditFile,
}

impl Log {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let file = AuditFile { patience: Duration::from_millis(50), ..AuditFile::new(&dir.path().join("audit.log")) };
        Self { dir, file }
    }

    fn add(&self, text: &str) {
        self.file.append(&record(text)).expect("appended");
    }

    fn path(&self) -> &Path {
        &self.file.path
    }

    fn rename(&self, name: &str) -> PathBuf {
        let to = self.dir.path().join(name);
        fs::rename(self.path(), &to).expect("renamed");
        to
    }
}

#[test]
fn each_line_names_the_one_before_it_and_the_first_says_that_it_is_the_first() {
    let log = Log::new();
    for text in ["a", "b", "c"] {
        log.add(text);
    }
    let lines = lines(log.path());
    assert_eq!(lines[0].0, Chained { seq: 1, prev: nothing_before(), note: Some(Note::Start) });
    for (number, pair) in lines.windows(2).enumerate() {
        assert_eq!(pair[1].0, Chained { seq: number as u64 + 2, prev: pair[0].1.clone(), note: None });
    }
}

#[test]
fn a_record_behind_half_a_line_begins_a_line_of_its_own_and_hangs_on_the_last_whole_one() {
    let log = Log::new();
    log.add("a");
    let whole = fs::read_to_string(log.path()).expect("read");
    fs::write(log.path(), format!("{whole}{{\"event\":\"b")).expect("cut");
    log.add("b");
    let text = fs::read_to_string(log.path()).expect("read");
    assert_eq!(text.lines().nth(1), Some("{\"event\":\"b"));
    let lines = lines(log.path());
    assert_eq!((lines.len(), lines[1].0.seq, &lines[1].0.prev), (2, 2, &lines[0].1));
}

#[test]
fn a_record_that_lacks_its_line_break_alone_is_one_and_the_next_has_another_number() {
    for lagging in [true, false] {
        let log = Log::new();
        log.add("a");
        let before = fs::read(head_of(log.path())).expect("a head");
        log.add("b");
        let whole = fs::read(log.path()).expect("read");
        fs::write(log.path(), &whole[..whole.len() - 1]).expect("cut");
        if lagging {
            // Killed before the head was written, as well.
            fs::write(head_of(log.path()), before).expect("a head");
        }
        log.add("c");
        let lines = lines(log.path());
        let numbers: Vec<u64> = lines.iter().map(|(line, _)| line.seq).collect();
        assert_eq!((numbers, &lines[2].0.prev), (vec![1, 2, 3], &lines[1].1), "{lagging}");
    }
}

/// A disk that takes so many bytes of what is written at first, and then all.
struct FullFor(usize, Vec<u8>);

struct Shared<'d>(&'d std::cell::RefCell<FullFor>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let FullFor(most, all) = &mut *self.0.borrow_mut();
        let taken = std::mem::replace(most, usize::MAX).min(bytes.len());
        all.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_record_is_written_once_where_all_but_its_line_break_was_taken_and_once_more_where_less_was() {
    let line = "{\"a\":1}\n";
    for (taken, expected) in [(5, "{\"a\":\n{\"a\":1}\n"), (7, line), (8, line)] {
        let disk = std::cell::RefCell::new(FullFor(taken, Vec::new()));
        let in_the_middle = || disk.borrow().1.last().is_some_and(|byte| *byte != b'\n');
        append_whole(Shared(&disk), line.as_bytes(), in_the_middle).expect("written");
        assert_eq!(String::from_utf8(disk.into_inner().1).expect("text"), expected, "{taken}");
    }
}

#[test]
fn who_has_waited_for_the_lock_in_vain_waits_no_second_time_until_it_was_free() {
    let log = Log::new();
    log.add("a");
    let held = open_head(&head_of(log.path())).expect("open");
    held.lock().expect("locked");
    log.file.append(&record("b")).expect_err("held");
    assert!(log.file.gave_up.load(Ordering::Relaxed));
    let start = Instant::now();
    log.file.append(&record("b")).expect_err("held");
    assert!(start.elapsed() < log.file.patience, "{:?}", start.elapsed());
    drop(held);
    log.add("b");
    assert!(!log.file.gave_up.load(Ordering::Relaxed));
}

#[test]
fn a_log_of_before_there_was_a_chain_is_what_the_chain_begins_behind() {
    let log = Log::new();
    fs::write(log.path(), "{\"event\":\"old\"}\n{\"event\":\"older\"}\n").expect("write");
    log.add("a");
    let lines = lines(log.path());
    let prev = hash(b"{\"event\":\"older\"}");
    assert_eq!(lines[0].0, Chained { seq: 1, prev, note: Some(Note::Start) });
}

#[test]
fn the_chain_goes_on_after_a_rotation_with_a_new_file_or_without_one() {
    for new_file in [true, false] {
        let log = Log::new();
        log.add("a");
        let old = log.rename("audit.log-20270101");
        if new_file {
            fs::write(log.path(), "").expect("create");
        }
        log.add("b");
        let (old, new) = (lines(&old), lines(log.path()));
        assert_eq!(new[0].0, Chained { seq: 2, prev: old[0].1.clone(), note: None });
    }
}

#[test]
fn a_stage_that_was_killed_between_line_and_head_leaves_no_gap_not_even_where_the_log_was_rotated_then() {
    for rotated in [false, true] {
        let log = Log::new();
        log.add("a");
        let head = fs::read(head_of(log.path())).expect("head");
        log.add("b");
        fs::write(head_of(log.path()), head).expect("head");
        let file = if rotated { log.rename("audit.log.1") } else { log.path().to_owned() };
        let before = lines(&file).pop().expect("a line");
        log.add("c");
        let last = lines(log.path()).pop().expect("a line");
        assert_eq!((last.0.seq, last.0.prev), (3, before.1));
    }
}

#[test]
fn what_follows_a_truncated_tail_shows_by_its_number_that_something_is_missing() {
    let log = Log::new();
    for text in ["a", "b", "c"] {
        log.add(text);
    }
    let text = fs::read_to_string(log.path()).expect("read");
    let gone = hash(text.lines().nth(2).expect("a line").as_bytes());
    fs::write(log.path(), text.lines().next().expect("a line").to_owned() + "\n").expect("cut");
    log.add("d");
    let last = lines(log.path()).pop().expect("a line");
    assert_eq!((last.0.seq, last.0.prev), (4, gone));
}

#[test]
fn a_head_that_is_gone_is_written_in_the_next_line_and_a_chain_is_not_begun_anew() {
    let log = Log::new();
    log.add("a");
    log.add("b");
    fs::remove_file(head_of(log.path())).expect("removed");
    log.add("c");
    let last = lines(log.path()).pop().expect("a line");
    assert_eq!((last.0.seq, last.0.note), (3, Some(Note::HeadMissing)));
}

#[test]
fn a_device_that_is_full_is_an_error_and_gets_no_head() {
    let full = AuditFile::new(Path::new("/dev/full"));
    assert_eq!(full.append(&record("a")).expect_err("full").source.raw_os_error(), Some(libc::ENOSPC));
    assert!(!Path::new("/dev/full.head").exists());
}

#[test]
fn neither_a_lock_that_somebody_holds_nor_a_pipe_that_nobody_reads_keeps_a_stage_for_ever() {
    let log = Log::new();
    log.add("a");
    let held = open_head(&head_of(log.path())).expect("open");
    held.lock().expect("locked");
    let error = log.file.append(&record("b")).expect_err("held");
    assert_eq!(error.source.kind(), ErrorKind::TimedOut);
    drop(held);
    log.add("b");
    let pipe = log.dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert_eq!(
        AuditFile::new(&pipe).append(&record("a")).expect_err("no reader").source.raw_os_error(),
        Some(libc::ENXIO)
    );
}

#[test]
fn stages_that_write_at_the_same_time_take_turns() {
    let log = Log::new();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let file = AuditFile::new(log.path());
                for _ in 0..20 {
                    file.append(&record("a")).expect("appended");
                }
            });
        }
    });
    let lines = lines(log.path());
    assert_eq!(lines.len(), 160);
    for pair in lines.windows(2) {
        assert_eq!((pair[1].0.seq, &pair[1].0.prev), (pair[0].0.seq + 1, &pair[0].1));
    }
}
