//! Whatever can be said survives being written and read: nothing is lost in a round trip.

use proptest::prelude::*;
use seamesh_proto::chain::Hop;
use seamesh_proto::ipc::{AgentCommand, AgentEvent, Request, TaskEvent, Via};
use seamesh_proto::link::MeshMessage;
use seamesh_proto::signaling::{ClientSignal, SignalFrame, TaskResult};
use seamesh_proto::talk::{Listens, Progress, Question};
use seamesh_proto::task::{Lineage, Path, SubmitTask, Task};
use seamesh_proto::{Code, Outcome, Payload, TaskId, TaskState};
use serde_json::{Map, Value, json};

fn id() -> impl Strategy<Value = TaskId> {
    "[A-Za-z0-9._:@+~*=-]{1,128}".prop_map(|text| text.parse().expect("of the alphabet"))
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300f64).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!({})),
        prop::collection::vec(any::<i32>(), 0..4).prop_map(Value::from),
        ("\\PC{0,8}", any::<u32>()).prop_map(|(key, n)| json!({ key: [n, null, {}] })),
    ]
}

fn lineage() -> impl Strategy<Value = Lineage> {
    let hop = ("[A-Za-z0-9._:@+~*=-]{1,128}", "\\PC{0,16}").prop_map(|(agent, skill)| Hop {
        agent_id: agent.parse().expect("of the alphabet"),
        skill,
    });
    let chain = prop::collection::vec(hop, 0..4);
    let ids = (prop::option::of(id()), prop::option::of(id()));
    let span = prop::option::of((1..=u128::MAX, 1..=u64::MAX, any::<u8>()));
    (ids, any::<u32>(), chain, span).prop_map(|((parent_id, root_id), depth, chain, span)| {
        let traceparent = span.map(|(trace, span, flags)| {
            let text = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
            text.parse().expect("a traceparent")
        });
        Lineage {
            parent_id,
            root_id,
            depth,
            chain,
            traceparent,
        }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let code = prop::sample::select(Code::ALL);
    prop_oneof![
        value().prop_map(Outcome::completed),
        (code, "\\PC{0,20}").prop_map(|(code, text)| Outcome::failed(code, text)),
        "\\PC{0,20}".prop_map(Outcome::canceled),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    let states = [
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::InputRequired,
        TaskState::Completed,
        TaskState::Failed,
        TaskState::Canceled,
    ];
    let times = (0.0..4e9f64, prop::option::of(0.0..4e9f64));
    let what = (
        "\\PC{0,16}",
        value(),
        value(),
        prop::sample::select(states.to_vec()),
    );
    let lease = (prop::option::of(any::<u64>()), any::<u32>(), any::<i32>());
    (id(), what, times, lease, lineage()).prop_map(|(id, what, times, lease, lineage)| Task {
        id,
        skill: what.0.clone(),
        target_agent_id: String::new(),
        source_agent_id: what.0,
        assigned_agent_id: String::new(),
        payload: Payload::new(what.1),
        state: what.3,
        result: what.2,
        error: String::new(),
        created_at: times.0,
        updated_at: times.0,
        ttl: 300,
        error_code: None,
        path: Path::Direct,
        attempt: lease.1,
        max_attempts: 3,
        lease: lease.0,
        started_at: times.1,
        priority: lease.2,
        not_before_at: times.1,
        deadline_at: times.1,
        progress: times.1.map(|_| Progress {
            fraction: times.1,
            note: "half".to_owned(),
        }),
        question: lease.0.map(|_| Question {
            number: lease.1,
            prompt: "which?".to_owned(),
            schema: None,
        }),
        reason: times.1.map(|_| "it waits".to_owned()),
        run_traceparent: lineage.traceparent,
        lineage,
    })
}

proptest! {
    #[test]
    fn a_task_survives(task in task()) {
        let text = serde_json::to_string(&task).unwrap();
        prop_assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), task);
    }

    #[test]
    fn a_submitted_task_survives(
        payload in value(), ttl in any::<u64>(), lineage in lineage(), priority in any::<i32>(),
        times in prop::option::of(any::<u64>()), key in prop::option::of("\\PC{0,20}"),
    ) {
        let task = SubmitTask {
            payload: Payload::new(payload),
            ttl,
            lineage,
            priority,
            not_before_ms: times,
            deadline_ms: times,
            idempotency_key: key,
            ..SubmitTask::default()
        };
        let text = serde_json::to_string(&task).unwrap();
        prop_assert_eq!(serde_json::from_str::<SubmitTask>(&text).unwrap(), task);
    }

    #[test]
    fn a_link_message_survives_with_members_nobody_knows(
        kind in "[a-z_]{1,20}", payload in value(), extra in value(), address in "\\PC{0,16}",
    ) {
        let mut message = MeshMessage::new(kind, Payload::new(payload));
        message.target_agent = address;
        message.extra = Map::from_iter([("x-unknown".to_owned(), extra)]);
        let text = serde_json::to_string(&message).unwrap();
        prop_assert_eq!(MeshMessage::parse(text.as_bytes()).unwrap(), message);
    }

    #[test]
    fn a_request_survives_as_one_line(
        skill in "\\PC{0,20}", payload in value(), timeout_ms in prop::option::of(any::<u64>()),
        wait in any::<bool>(), parent in prop::option::of(id()),
    ) {
        let request = AgentCommand::Request(Request {
            request_id: "r1".to_owned(),
            skill,
            to: None,
            payload: Payload::new(payload),
            timeout_ms,
            wait,
            via: Via::Queue,
            parent,
            traceparent: None,
            listens: Listens { stream: wait, answers: !wait },
        });
        let mut line = Vec::new();
        request.write_line(&mut line);
        prop_assert_eq!(line.iter().filter(|b| **b == b'\n').count(), 1, "one line each");
        prop_assert_eq!(AgentCommand::parse(&line).unwrap(), request);
    }

    #[test]
    fn a_unit_of_work_survives(task_id in id(), payload in value(), timeout_ms in any::<u64>(), lineage in lineage()) {
        let event = AgentEvent::Task(TaskEvent {
            task_id,
            attempt: 1,
            skill: "s".to_owned(),
            payload: Payload::new(payload),
            from_agent: String::new(),
            path: Path::Direct,
            timeout_ms,
            lease: Some(timeout_ms),
            listens: Listens { stream: true, answers: true },
            run_traceparent: lineage.traceparent,
            lineage,
        });
        let mut line = Vec::new();
        event.write_line(&mut line);
        prop_assert_eq!(AgentEvent::parse(&line).unwrap(), event);
    }

    #[test]
    fn a_result_survives_the_signaling_frame(task_id in id(), lease in any::<u64>(), outcome in outcome()) {
        let signal = ClientSignal::TaskResult(TaskResult { task_id, lease, outcome });
        let frame = SignalFrame::from_client("p-1".parse().unwrap(), None, &signal);
        let read = SignalFrame::parse(frame.to_text().as_bytes()).unwrap();
        prop_assert_eq!(read.client_signal().unwrap(), signal);
    }

    #[test]
    fn hostile_bytes_give_an_error_and_never_a_crash(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = MeshMessage::parse(&bytes);
        let _ = SignalFrame::parse(&bytes);
        let _ = AgentEvent::parse(&bytes);
        prop_assert!(AgentCommand::parse(&bytes).is_err());
    }

    #[test]
    fn a_cut_off_line_is_refused(cut in 0usize..60) {
        let line = br#"{"type":"request","payload":{"request_id":"r1","skill":"s"}}"#;
        prop_assert!(AgentCommand::parse(&line[..cut.min(line.len() - 1)]).is_err());
    }
}
