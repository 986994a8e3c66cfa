//! What a program does that is not to be believed.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::sys::alone::alone;

const LONG: Duration = Duration::from_mins(1);

#[expect(clippy::disallowed_methods, reason = "no change of user in a test")]
fn run_for(script: &str, input: &str, limit: Duration) -> Answer {
    let sealed = Sealed::of(script.as_bytes()).expect("sealed");
    let given = Given {
        args: vec!["hook".into(), "a b".into()],
        environment: vec![("A".into(), "b".into())],
        input: input.into(),
    };
    sealed.run(given, &Become::same(), limit)
}

fn run(script: &str) -> Answer {
    run_for(script, "", LONG)
}

#[test]
fn a_script_and_a_binary_run_from_memory_with_nothing_but_what_they_are_given() {
    alone(module_path!(), "a_script_and_a_binary_run_from_memory_with_nothing_but_what_they_are_given", || {
        let script = "#!/bin/sh\ncat; echo \"[$1]\"; env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD= >&2; pwd; umask; exit 3\n";
        let answer = run_for(script, "hello ", LONG);
        let (out, err) = ("hello [a b]\n/\n0077\n".to_owned(), "A=b\n".to_owned());
        assert_eq!(answer, Answer::Exited { status: 3, out, err });
        // Arguments for the interpreter are the kernel's affair, and work.
        let answer = run("#!/bin/sh -eu\nfalse\necho not reached\n");
        assert_eq!(answer, Answer::Exited { status: 1, out: String::new(), err: String::new() });
        let binary = std::fs::read("/bin/echo").expect("a binary");
        let sealed = Sealed::of(&binary).expect("sealed");
        let given = Given { args: vec!["echo".into(), "ford".into()], ..Given::default() };
        #[expect(clippy::disallowed_methods, reason = "no change of user in a test")]
        let answer = sealed.run(given, &Become::same(), LONG);
        assert_eq!(answer, Answer::Exited { status: 0, out: "ford\n".into(), err: String::new() });
    });
}

#[test]
fn nobody_changes_what_is_sealed_and_it_cannot_change_itself() {
    alone(module_path!(), "nobody_changes_what_is_sealed_and_it_cannot_change_itself", || {
        let sealed = Sealed::of(b"#!/bin/sh\necho good\n").expect("sealed");
        let path = format!("/proc/self/fd/{}", sealed.file.as_raw_fd());
        // Root opens it for writing, and then cannot write, shrink or take a seal off.
        let file = File::options().write(true).open(&path).expect("opened");
        assert_eq!(
            (&file).write(b"#!/bin/sh\necho evil\n").map_err(|error| error.kind()),
            Err(io::ErrorKind::PermissionDenied)
        );
        assert!(file.set_len(0).is_err() && file.set_len(1 << 20).is_err());
        // SAFETY: a descriptor of ours, and plain integers.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, 0) }, -1);
        drop(file);
        let answer =
            run("#!/bin/sh\n(printf 'echo evil\\n' >> \"$0\") 2>/dev/null; (: > \"$0\") 2>/dev/null\necho good\n");
        assert_eq!(answer, Answer::Exited { status: 0, out: "good\n".into(), err: String::new() });
        assert!(std::fs::read(&path).expect("its bytes").ends_with(b"echo good\n"));
    });
}

#[test]
fn what_is_no_program_is_not_started_and_why_is_said() {
    alone(module_path!(), "what_is_no_program_is_not_started_and_why_is_said", || {
        for (text, words) in [
            ("echo good\n", "nor does it begin with #!"),
            ("", "nor does it begin with #!"),
            ("#!/nonexistent/interpreter\n", "does not exist"),
            ("#!/etc/passwd\n", "may not execute"),
        ] {
            let answer = run(text);
            assert!(matches!(&answer, Answer::NotStarted(said) if said.contains(words)), "{text:?}: {answer:?}");
        }
    });
}

#[test]
fn a_program_that_hangs_or_forks_or_daemonizes_gives_no_answer_and_leaves_nothing() {
    alone(module_path!(), "a_program_that_hangs_or_forks_or_daemonizes_gives_no_answer_and_leaves_nothing", || {
        let dir = tempfile::tempdir().expect("dir");
        let pids = dir.path().join("pids");
        let noted = |text: &str| text.replace("PIDS", pids.to_str().expect("UTF-8"));
        let hangs = noted(
            "#!/bin/sh\necho '{}'\nexec 1>&-\nsleep 1000 & echo $! >> PIDS\ntrap '' TERM INT\nwhile :; do sleep 1000; done\n",
        );
        let start = Instant::now();
        assert_eq!(run_for(&hangs, "", Duration::from_secs(2)), Answer::Ended("no answer within 2 s".into()));
        assert!(start.elapsed() < Duration::from_secs(30));
        // It answers, and something of it goes on in a session of its own that holds the pipes.
        let leaves = noted(
            "#!/bin/sh\nsetsid sh -c 'echo $$ >> PIDS; exec sleep 1000' &\nwhile [ \"$(wc -l < PIDS)\" -lt 2 ]; do :; done\necho fine\n",
        );
        assert_eq!(run(&leaves), Answer::Exited { status: 0, out: "fine\n".into(), err: String::new() });
        let text = std::fs::read_to_string(&pids).expect("numbers");
        let numbers: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(numbers.len(), 2, "{text}");
        for pid in numbers {
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} goes on");
        }
    });
}

#[test]
fn words_without_end_on_either_stream_are_no_answer_and_take_no_time() {
    alone(module_path!(), "words_without_end_on_either_stream_are_no_answer_and_take_no_time", || {
        let too_much = Answer::Ended("more words than any answer has".into());
        for script in [
            "#!/bin/sh\necho fine\nexec yes\n",
            "#!/bin/sh\necho fine\nyes >&2\n",
            "#!/bin/sh\nhead -c 1000000000 /dev/zero\nexit 0\n",
            "#!/bin/sh\nhead -c 65537 /dev/zero\nexit 0\n",
        ] {
            let start = Instant::now();
            assert_eq!(run(script), too_much, "{script}");
            assert!(start.elapsed() < LONG);
        }
        let Answer::Exited { status: 0, out, .. } = run("#!/bin/sh\nhead -c 65536 /dev/zero\n") else {
            panic!("just enough")
        };
        assert_eq!(out.len(), 65_536);
    });
}

#[test]
fn a_program_that_crashes_has_said_nothing_whatever_it_has_printed() {
    alone(module_path!(), "a_program_that_crashes_has_said_nothing_whatever_it_has_printed", || {
        assert_eq!(run("#!/bin/sh\necho fine\nkill -SEGV $$\n"), Answer::Ended("ended by signal 11".into()));
    });
}

#[test]
fn a_file_that_is_exchanged_all_the_time_runs_as_it_was_read() {
    alone(module_path!(), "a_file_that_is_exchanged_all_the_time_runs_as_it_was_read", || {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("hook");
        let texts = ["#!/bin/sh\necho good\n", "#!/bin/sh\necho evil\n"];
        let stop = std::sync::atomic::AtomicBool::new(false);
        let relaxed = std::sync::atomic::Ordering::Relaxed;
        std::fs::write(&path, texts[0]).expect("written");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // By another file under its name, and by other bytes in the same one.
                let beside = dir.path().join("beside");
                for turn in 0.. {
                    if stop.load(relaxed) {
                        return;
                    }
                    std::fs::write(&beside, texts[turn % 2]).expect("written");
                    std::fs::set_permissions(&beside, PermissionsExt::from_mode(0o755)).expect("chmod");
                    std::fs::rename(&beside, &path).expect("renamed");
                    std::fs::write(&path, texts[(turn + 1) % 2]).expect("written");
                }
            });
            let mut good = 0;
            while good < 20 {
                let bytes = std::fs::read(&path).expect("read");
                // As a digest would say.
                if bytes != texts[0].as_bytes() {
                    continue;
                }
                let sealed = Sealed::of(&bytes).expect("sealed");
                let given = Given { args: vec!["hook".into()], ..Given::default() };
                #[expect(clippy::disallowed_methods, reason = "no change of user in a test")]
                let answer = sealed.run(given, &Become::same(), LONG);
                assert_eq!(answer, Answer::Exited { status: 0, out: "good\n".into(), err: String::new() });
                good += 1;
            }
            stop.store(true, relaxed);
        });
    });
}
