use super::*;

const SUBMISSION: Wish = Wish::Submission;
const START: Wish = Wish::Question(Urgency::Start);
const HIGH: Wish = Wish::Question(Urgency::High);
const LOW: Wish = Wish::Question(Urgency::Low);
const ALL: [Wish; 4] = [SUBMISSION, START, HIGH, LOW];
/// Some time after boot.
const NOW: Duration = Duration::from_secs(1000);
const QUESTION: Duration = lanes::QUESTIONS.interval;

struct Shared {
    pace: Pace,
    _dir: tempfile::TempDir,
}

fn shared() -> Shared {
    let dir = tempfile::tempdir().expect("dir");
    Shared { pace: Pace::in_directory(dir.path()), _dir: dir }
}

impl Shared {
    fn try_take(&self, wish: Wish, now: Duration) -> Result<Duration, Crowded> {
        self.pace.take(wish, now).expect("a file")
    }

    fn take(&self, wish: Wish, now: Duration) -> Duration {
        self.try_take(wish, now).expect("a turn")
    }

    fn times(&self, count: usize, wish: Wish, now: Duration) -> Vec<Duration> {
        (0..count).map(|_| self.take(wish, now)).collect()
    }

    fn write(&self, content: impl AsRef<[u8]>) {
        std::fs::write(&self.pace.0, content).expect("write");
    }
}

#[test]
fn a_few_are_let_through_at_once_and_the_rest_at_a_steady_pace() {
    let shared = shared();
    let pauses = shared.times(4, LOW, NOW);
    assert!(pauses[..2].iter().all(Duration::is_zero), "{pauses:?}");
    assert_eq!(pauses[3], QUESTION * 2);
    let later = NOW + Duration::from_mins(1);
    assert_eq!(shared.take(LOW, later), Duration::ZERO, "credit comes back");
}

#[test]
fn a_question_that_nobody_waits_for_does_not_wait_long_and_takes_nothing_then() {
    let shared = shared();
    shared.times(4, LOW, NOW);
    for _ in 0..200 {
        assert_eq!(shared.try_take(LOW, NOW), Err(Crowded));
    }
    assert_eq!(shared.take(LOW, NOW + QUESTION), lanes::LOW_WAITS);
}

#[test]
fn what_somebody_waits_for_does_not_stand_behind_other_questions_and_may_use_their_lane_when_it_is_free() {
    let crowd = shared();
    crowd.times(4, LOW, NOW);
    assert_eq!(crowd.take(HIGH, NOW), Duration::ZERO);
    let pauses = shared().times(20, HIGH, NOW);
    assert_eq!(pauses[19], QUESTION * 8, "both lanes: {pauses:?}");
}

#[test]
fn two_hundred_submissions_and_starts_are_through_in_two_seconds_and_neither_waits_for_anything_else() {
    let shared = shared();
    shared.times(100, HIGH, NOW);
    for wish in [SUBMISSION, START] {
        let pauses = shared.times(200, wish, NOW);
        assert_eq!(pauses[19], Duration::ZERO, "{wish:?}");
        assert!(pauses[199] < Duration::from_secs(2), "{wish:?}: {:?}", pauses[199]);
    }
}

#[test]
fn fewer_than_twenty_questions_are_asked_in_any_second_whatever_else_is_going_on() {
    let shared = shared();
    let (seconds, step) = (20, Duration::from_millis(20));
    let mut asked: Vec<Duration> = Vec::new();
    for number in 0..seconds * 50 {
        let now = NOW + step * number;
        for wish in [SUBMISSION, START, HIGH, LOW, LOW] {
            if let Ok(pause) = shared.try_take(wish, now)
                && [HIGH, LOW].contains(&wish)
            {
                asked.push(now + pause);
            }
        }
    }
    asked.sort();
    for (at, from) in asked.iter().enumerate() {
        let within = asked[at..].iter().take_while(|moment| **moment < *from + Duration::from_secs(1)).count();
        assert!(within < 20, "{within} in the second from {from:?}");
    }
    let until = NOW + Duration::from_secs(seconds.into());
    let all = asked.iter().filter(|moment| **moment < until).count();
    assert!((seconds * 15..=seconds * 16 + 4).contains(&u32::try_from(all).expect("few")), "{all}");
}

#[test]
fn a_crowd_takes_no_turn_that_is_far_away_and_so_never_makes_the_file_look_wrong() {
    for wish in ALL {
        let shared = shared();
        let last = std::iter::from_fn(|| shared.try_take(wish, NOW).ok()).last().expect("one");
        assert!(last <= lanes::FURTHEST, "{wish:?}: {last:?}");
        let text = std::fs::read(&shared.pace.0).expect("the file");
        let before = Lanes::recorded(&text, NOW).text();
        assert_eq!(before.as_bytes(), text, "{wish:?}: what was written is believed");
    }
}

#[test]
fn a_file_of_nonsense_or_of_another_boot_delays_nobody_and_is_mended() {
    let long = "7 ".repeat(100_000);
    for text in [
        &b""[..],
        b"x",
        b"99999999999999999999999",
        b"18446744073709551615 18446744073709551615 18446744073709551615 18446744073709551615",
        b"\xff\xfe\x00 \xff",
        "\u{e9} 18446744073709551615 -1 +1e9 x".as_bytes(),
        &[0; 4096],
        long.as_bytes(),
    ] {
        let shared = shared();
        for wish in ALL {
            shared.write(text);
            let told = String::from_utf8_lossy(&text[..text.len().min(30)]);
            assert_eq!(shared.take(wish, Duration::from_secs(5)), Duration::ZERO, "{told:?}");
            shared.times(3, wish, Duration::from_secs(5));
            if [HIGH, LOW].contains(&wish) {
                let next = shared.try_take(wish, Duration::from_secs(5));
                assert_ne!(next, Ok(Duration::ZERO), "{told:?}: turns are kept again");
            }
        }
    }
}

#[test]
fn whatever_the_file_says_nobody_waits_longer_than_the_furthest_turn() {
    let shared = shared();
    for far in [1, 9, 10, 11, 100, 1 << 40].map(|seconds| NOW + Duration::from_secs(seconds)) {
        for wish in ALL {
            shared.write(vec![far.as_nanos().to_string(); 4].join(" "));
            let turn = shared.try_take(wish, NOW);
            assert!(turn.is_err() || turn.is_ok_and(|pause| pause <= lanes::FURTHEST), "{wish:?} {far:?} {turn:?}");
        }
    }
}

#[test]
fn a_submission_that_waits_for_its_turn_can_be_taken_back_and_then_is_never_made() {
    let shared = shared();
    let recall = Recall::default();
    // All turns that there are; so it waits for one, however long.
    let far = now() + lanes::FURTHEST + lanes::JOBS.interval * lanes::JOBS.burst;
    shared.write(vec![far.as_nanos().to_string(); 4].join(" "));
    let (pace, waits) = (shared.pace.clone(), recall.clone());
    let waiting = std::thread::spawn(move || pace.wait_unless(SUBMISSION, &waits));
    recall.take_back();
    assert_eq!(waiting.join().expect("no panic"), Turn::TakenBack);
    assert!(!recall.do_unless_taken_back(|| panic!("made")));
    assert_eq!(shared.pace.wait_unless(SUBMISSION, &recall), Turn::TakenBack, "nor another one");
}

#[test]
fn a_file_that_a_stopped_process_holds_stops_nobody_else() {
    let shared = shared();
    let _stopped = locked::hold(&shared.pace.0, Duration::ZERO).expect("free");
    assert_eq!(shared.pace.wait(Urgency::Low), Turn::Taken);
}
