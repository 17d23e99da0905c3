//! The history checker: a good history has nothing wrong with it, and each broken promise is found, as exactly that.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use seamesh_proto::{Code, TaskId, TaskState};
use seamesh_sim::history::{
    Accepted, Carried, Changed, Chunked, History, Refused, Run, Submitted, TTL_SLACK_MS, Told,
    Violation, What, check,
};

const TTL_MS: u64 = 60_000;

fn task(name: &str) -> TaskId {
    name.parse().unwrap()
}

fn submitted(request: &str, key: Option<&str>, digest: &str) -> What {
    What::Submitted(Submitted {
        request: request.to_owned(),
        key: key.map(str::to_owned),
        digest: digest.to_owned(),
    })
}

fn accepted(request: &str, id: &str) -> What {
    What::Accepted(Accepted {
        request: request.to_owned(),
        task: task(id),
        ttl_ms: TTL_MS,
        max_attempts: 3,
    })
}

fn told(request: &str, id: &str, state: TaskState) -> What {
    What::Told(Told {
        request: request.to_owned(),
        task: Some(task(id)),
        state,
        code: None,
    })
}

fn run(id: &str, attempt: u32, agent: &str) -> Run {
    Run {
        task: task(id),
        attempt,
        agent: agent.parse().unwrap(),
        incarnation: 7,
    }
}

fn started(id: &str, attempt: u32, agent: &str) -> What {
    What::Started(run(id, attempt, agent))
}

/// `lease` 0 is none.
fn changed(seq: u64, id: &str, state: TaskState, attempt: u32, lease: u64, agent: &str) -> What {
    What::Changed(Changed {
        seq,
        task: task(id),
        state,
        attempt,
        lease: (lease > 0).then_some(lease),
        agent: agent.parse().ok(),
    })
}

fn carried(number: u64) -> Carried {
    Carried {
        from: "left".parse().unwrap(),
        to: "right".parse().unwrap(),
        number,
    }
}

fn history(facts: Vec<(u64, What)>) -> History {
    let mut history = History::default();
    for (at_ms, what) in facts {
        history.add(at_ms, what);
    }
    history
}

/// A task that is accepted, runs once, completes, and is told so.
fn good() -> Vec<(u64, What)> {
    use TaskState::{Assigned, Completed, Pending};
    vec![
        (100, submitted("r1", Some("k1"), "d1")),
        (110, accepted("r1", "t1")),
        (105, changed(1, "t1", Pending, 0, 0, "")),
        (120, changed(2, "t1", Assigned, 1, 1, "a")),
        (130, started("t1", 1, "a")),
        (140, What::Finished(run("t1", 1, "a"))),
        (150, changed(3, "t1", Completed, 1, 0, "a")),
        (160, told("r1", "t1", Completed)),
    ]
}

/// What is found in the good history with these facts added.
fn with(facts: Vec<(u64, What)>) -> Vec<Violation> {
    check(&history([good(), facts].concat()))
}

/// What is found in the good history without the facts that `out` names.
fn without(out: impl Fn(&What) -> bool) -> Vec<Violation> {
    let kept = good().into_iter().filter(|(_, what)| !out(what));
    check(&history(kept.collect()))
}

#[test]
fn a_good_history_has_nothing_wrong_with_it() {
    assert_eq!(with(vec![]), []);
}

#[test]
fn what_a_network_and_a_crash_do_by_right_is_no_violation() {
    use TaskState::{Assigned, Completed, Failed, Pending};
    let found = with(vec![
        // A lease lapsed; the first handler was told late and still runs; another agent has the second attempt.
        (200, submitted("r2", None, "d2")),
        (210, accepted("r2", "t2")),
        (220, changed(4, "t2", Assigned, 1, 1, "a")),
        (230, started("t2", 1, "a")),
        (300, changed(5, "t2", Pending, 1, 0, "a")),
        (300, changed(6, "t2", Assigned, 2, 2, "b")),
        (310, started("t2", 2, "b")),
        (320, changed(7, "t2", Completed, 2, 0, "b")),
        // Told by two witnesses of the one event stream.
        (320, changed(7, "t2", Completed, 2, 0, "b")),
        // The sender gave up before that, by its own clock.
        (315, told("r2", "t2", Failed)),
        // A sender that died, and one that was refused.
        (400, submitted("r3", None, "d3")),
        (
            410,
            What::SenderGone {
                request: "r3".to_owned(),
            },
        ),
        (400, submitted("r4", None, "d4")),
        (
            410,
            What::Refused(Refused {
                request: "r4".to_owned(),
                code: Some(Code::Overloaded),
            }),
        ),
        // The same submission again is the same task.
        (500, submitted("r5", Some("k1"), "d1")),
        (510, accepted("r5", "t1")),
        (520, told("r5", "t1", Completed)),
        // Two messages arrive, one is lost with its link.
        (600, What::Sent(carried(1))),
        (601, What::Sent(carried(2))),
        (602, What::Sent(carried(3))),
        (603, What::Received(carried(1))),
        (604, What::Received(carried(2))),
        (
            605,
            What::LinkDown {
                peer: "left".parse().unwrap(),
                other: "right".parse().unwrap(),
            },
        ),
    ]);
    assert_eq!(found, []);
}

#[test]
fn promise_1_accepted_work_is_terminal_at_the_end() {
    let lost = |state| Violation::Lost {
        task: task("t1"),
        state,
    };
    let found = without(|what| matches!(what, What::Changed(c) if c.state.is_terminal()));
    assert_eq!(found, [lost(Some(TaskState::Assigned))]);
    let found = without(|what| matches!(what, What::Changed(_)));
    assert_eq!(found, [lost(None)]);
}

#[test]
fn promise_1_accepted_work_is_terminal_by_its_ttl() {
    let late = |at_ms| {
        let mut facts = good();
        facts[6].0 = at_ms;
        check(&history(facts))
    };
    let last = 110 + TTL_MS + TTL_SLACK_MS;
    assert_eq!(late(last), []);
    let by_ms = TTL_SLACK_MS + 1;
    assert_eq!(
        late(last + 1),
        [Violation::Late {
            task: task("t1"),
            by_ms
        }]
    );
}

#[test]
fn promise_2_a_task_completes_at_most_once_and_its_end_never_changes() {
    use TaskState::{Canceled, Completed, Pending};
    for became in [Completed, Canceled, Pending] {
        let found = with(vec![(170, changed(4, "t1", became, 1, 0, "a"))]);
        let was = Completed;
        assert_eq!(
            found,
            [Violation::Undone {
                task: task("t1"),
                was,
                became
            }]
        );
    }
}

#[test]
fn promise_2_a_lease_is_one_agents_and_its_number_only_grows() {
    use TaskState::{Assigned, Completed};
    let leases = |second: (u64, u32, &str)| {
        check(&history(vec![
            (100, accepted("r2", "t2")),
            (110, changed(1, "t2", Assigned, 1, 5, "a")),
            (
                120,
                changed(2, "t2", Assigned, second.1, second.0, second.2),
            ),
            (130, changed(3, "t2", Completed, 2, 0, "b")),
        ]))
    };
    assert_eq!(leases((6, 2, "b")), []);
    assert_eq!(leases((5, 1, "a")), [], "said twice");
    for (lease, attempt, agent) in [(5, 1, "b"), (5, 2, "a"), (4, 2, "b")] {
        let reused = Violation::LeaseReused {
            task: task("t2"),
            lease,
        };
        assert_eq!(leases((lease, attempt, agent)), [reused]);
    }
}

#[test]
fn promise_3_a_handler_runs_at_most_once_per_attempt() {
    for other in ["a", "b"] {
        let found = with(vec![(135, started("t1", 1, other))]);
        let agents = vec!["a".parse().unwrap(), other.parse().unwrap()];
        let twice = Violation::RanTwice {
            task: task("t1"),
            attempt: 1,
            agents,
        };
        assert_eq!(found, [twice]);
    }
}

#[test]
fn promise_3_no_attempt_begins_under_the_live_lease_of_an_earlier_one() {
    let found = with(vec![(135, started("t1", 2, "b"))]);
    let overlap = Violation::Overlap {
        task: task("t1"),
        leased: 1,
        began: 2,
    };
    assert_eq!(found, [overlap]);
}

#[test]
fn promise_3_one_key_is_one_task_with_one_content() {
    use TaskState::Completed;
    let again = |id: &str, digest: &str| {
        with(vec![
            (200, submitted("r2", Some("k1"), digest)),
            (210, accepted("r2", id)),
            (215, changed(4, "t2", Completed, 1, 0, "a")),
            (220, told("r2", id, Completed)),
        ])
    };
    let key = || "k1".to_owned();
    assert_eq!(again("t1", "d1"), []);
    assert_eq!(again("t2", "d1"), [Violation::KeyTwice { key: key() }]);
    assert_eq!(again("t1", "other"), [Violation::KeyContent { key: key() }]);
}

#[test]
fn promise_4_every_request_ends_for_its_sender() {
    let found = without(|what| matches!(what, What::Told(_)));
    let request = "r1".to_owned();
    assert_eq!(found, [Violation::Unanswered { request }]);
}

#[test]
fn promise_4_a_request_ends_once() {
    let found = with(vec![(170, told("r1", "t1", TaskState::Completed))]);
    let request = "r1".to_owned();
    assert_eq!(found, [Violation::AnsweredTwice { request }]);
}

#[test]
fn promise_4_nobody_is_told_of_a_completion_that_did_not_happen() {
    let mut facts = good();
    facts[6].1 = changed(3, "t1", TaskState::Failed, 1, 0, "a");
    let (request, state) = ("r1".to_owned(), TaskState::Failed);
    let contradicted = Violation::Contradicted {
        request,
        task: task("t1"),
        state,
    };
    assert_eq!(check(&history(facts)), [contradicted]);
}

#[test]
fn promise_5_no_more_attempts_are_made_than_allowed() {
    use TaskState::{Assigned, Completed, Pending};
    let attempts = |last: u32| {
        let mut facts = vec![(100, accepted("r2", "t2"))];
        for n in 1..=last {
            let (seq, at_ms) = (u64::from(n) * 2, 100 + u64::from(n) * 100);
            facts.push((at_ms, changed(seq, "t2", Assigned, n, u64::from(n), "a")));
            facts.push((at_ms + 10, started("t2", n, "a")));
            facts.push((at_ms + 50, changed(seq + 1, "t2", Pending, n, 0, "a")));
        }
        facts.push((900, changed(90, "t2", Completed, last, 0, "a")));
        check(&history(facts))
    };
    assert_eq!(attempts(3), []);
    let (task, allowed) = (task("t2"), 3);
    let too_many = Violation::TooManyAttempts {
        task,
        attempts: 4,
        allowed,
    };
    assert_eq!(attempts(4), [too_many]);
}

#[test]
fn promise_7_messages_arrive_once_in_order_and_none_that_was_not_sent() {
    let arriving = |numbers: &[u64]| {
        let sent = (1..=3).map(|n| (n, What::Sent(carried(n))));
        let arrived = numbers.iter().map(|n| (10, What::Received(carried(*n))));
        check(&history(sent.chain(arrived).collect()))
    };
    let (from, to) = (carried(0).from, carried(0).to);
    let names = |number| (from.clone(), to.clone(), number);
    assert_eq!(arriving(&[1, 2, 3]), []);
    let (from, to, number) = names(2);
    assert_eq!(
        arriving(&[1, 3, 2]),
        [Violation::OutOfOrder { from, to, number }]
    );
    let (from, to, number) = names(2);
    assert_eq!(
        arriving(&[1, 2, 2, 3]),
        [Violation::Repeated { from, to, number }]
    );
    let (from, to, number) = names(9);
    assert_eq!(
        arriving(&[1, 2, 3, 9]),
        [Violation::Invented { from, to, number }]
    );
}

#[test]
fn promise_7_a_message_is_not_lost_unless_the_sender_is_told_of_its_link() {
    let ending = |last: Option<(u64, &str)>| {
        let mut facts = vec![
            (100, What::Sent(carried(1))),
            (110, What::Received(carried(1))),
            (120, What::Sent(carried(2))),
        ];
        if let Some((at_ms, peer)) = last {
            let other = if peer == "left" { "right" } else { "left" };
            let (peer, other) = (peer.parse().unwrap(), other.parse().unwrap());
            facts.push((at_ms, What::LinkDown { peer, other }));
        }
        check(&history(facts))
    };
    let Carried { from, to, number } = carried(2);
    let lost = [Violation::LostUntold { from, to, number }];
    assert_eq!(ending(None), lost);
    assert_eq!(
        ending(Some((105, "left"))),
        lost,
        "that was an earlier link"
    );
    assert_eq!(
        ending(Some((130, "right"))),
        lost,
        "the receiver is not the sender"
    );
    assert_eq!(ending(Some((130, "left"))), []);
}

#[test]
fn a_history_is_read_back_from_its_file_as_it_was() {
    let mut facts = good();
    facts.push((200, What::Sent(carried(1))));
    facts.push((
        201,
        What::Refused(Refused {
            request: "r9".to_owned(),
            code: None,
        }),
    ));
    facts.push((
        202,
        What::SenderGone {
            request: "r8".to_owned(),
        },
    ));
    let history = history(facts);
    let text = history.to_lines();
    assert_eq!(text.lines().count(), history.facts().len());
    assert_eq!(History::from_lines(&text).unwrap(), history);
    assert!(History::from_lines("{\"at_ms\":1}\n").is_err());
}

fn chunk(attempt: u32, index: u64) -> What {
    What::Chunk(Chunked {
        request: "r1".to_owned(),
        attempt,
        index,
    })
}

#[test]
fn the_parts_of_a_result_come_in_order_each_once_and_anew_with_another_attempt() {
    let misplaced = |came: &[(u32, u64)]| {
        let mut history = History::default();
        for (at, (attempt, index)) in came.iter().enumerate() {
            history.add(at as u64, chunk(*attempt, *index));
        }
        let found = check(&history);
        let misplaced = |v: &Violation| matches!(v, Violation::ChunkMisplaced { .. });
        assert!(found.iter().all(misplaced), "{found:?}");
        found.len()
    };
    assert_eq!(misplaced(&[(1, 0), (1, 1), (1, 2)]), 0);
    assert_eq!(misplaced(&[(1, 0), (1, 1), (2, 0), (2, 1)]), 0);
    assert_eq!(misplaced(&[(1, 0), (1, 0)]), 1, "twice");
    assert_eq!(misplaced(&[(1, 0), (1, 2)]), 1, "one is missing");
    assert_eq!(misplaced(&[(1, 0), (2, 1)]), 1, "not from the beginning");
    assert_eq!(misplaced(&[(2, 0), (1, 1)]), 1, "of an earlier attempt");
}
