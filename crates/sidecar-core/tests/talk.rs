//! What a handler and its asker say to each other before the result, on both paths and across what goes away.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

use seamesh_proto::ipc::{AgentEvent, TaskEvent};
use seamesh_proto::limits::{PROGRESS_EVERY_MS, STREAM_WINDOW};
use seamesh_proto::signaling::{
    ClientSignal, LeasedTaskInput, RegistrySignal, SubmittedTaskNews, TaskRevoke, TaskSubmitted,
};
use seamesh_proto::talk::{Answer, News, TaskInput};
use seamesh_proto::{Code, TaskState};
use serde_json::{Value, json};

use crate::world::World;
use crate::world::pair::{DONE, assign, clear, pair, request, respond, settled, submits, tasks};

mod world;

const LISTENS: &str = r#","stream":true,"answers":true"#;

/// `a` asked and listens, `b` has the work.
fn conversation() -> (World, TaskEvent) {
    let mut world = pair();
    request(&mut world, LISTENS);
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    world.events("a");
    (world, task)
}

fn tell(world: &mut World, task: &TaskEvent, news: &Value) {
    let mut payload = json!({"task_id": task.task_id, "attempt": task.attempt});
    payload
        .as_object_mut()
        .unwrap()
        .extend(news.as_object().unwrap().clone());
    world.say_line(
        "b",
        &json!({"type": "task_news", "payload": payload}).to_string(),
    );
}

fn chunk(index: u64) -> Value {
    json!({"chunk": {"index": index, "data": format!("part {index}")}})
}

fn question(number: u32) -> Value {
    json!({"question": {"number": number, "prompt": "which?"}})
}

fn answer_back(world: &mut World, input: &Value) {
    let mut payload = json!({"request_id": "r1"});
    payload
        .as_object_mut()
        .unwrap()
        .extend(input.as_object().unwrap().clone());
    world.say_line(
        "a",
        &json!({"type": "request_input", "payload": payload}).to_string(),
    );
}

/// What the asker heard, with the attempts that told it.
fn heard(world: &mut World) -> Vec<(u32, News)> {
    let news = world.events("a").into_iter().filter_map(|e| match e {
        AgentEvent::RequestNews(body) => Some((body.attempt, body.news)),
        _ => None,
    });
    news.collect()
}

fn chunks_heard(world: &mut World) -> Vec<u64> {
    let chunks = heard(world).into_iter().filter_map(|(_, n)| n.chunk);
    chunks.map(|c| c.index).collect()
}

/// What the handler heard.
fn inputs(world: &mut World) -> Vec<TaskInput> {
    let inputs = world.events("b").into_iter().filter_map(|e| match e {
        AgentEvent::TaskInput(body) => Some(body.input),
        _ => None,
    });
    inputs.collect()
}

/// What the handler's sidecar told the registry.
fn told(world: &mut World) -> Vec<(u64, News)> {
    let news = world.signals("b").into_iter().filter_map(|s| match s {
        ClientSignal::TaskNews(body) => Some((body.lease, body.news)),
        _ => None,
    });
    news.collect()
}

fn errors(world: &mut World) -> Vec<Code> {
    let errors = world.events("b").into_iter().filter_map(|e| match e {
        AgentEvent::Error(problem) => Some(problem.code),
        _ => None,
    });
    errors.collect()
}

#[test]
fn chunks_reach_the_asker_in_order_and_what_it_takes_reaches_the_handler() {
    let (mut world, task) = conversation();
    assert!(task.listens.stream && task.listens.answers);
    tell(&mut world, &task, &chunk(0));
    tell(&mut world, &task, &chunk(1));
    world.run(10);
    assert_eq!(chunks_heard(&mut world), [0, 1]);
    answer_back(&mut world, &json!({"taken": 2}));
    world.run(10);
    assert_eq!(inputs(&mut world)[0].taken, Some(2));
    respond(&mut world, &task, DONE);
}

#[test]
fn a_handler_that_does_not_wait_for_the_window_is_refused() {
    let (mut world, task) = conversation();
    for index in 0..=STREAM_WINDOW {
        tell(&mut world, &task, &chunk(index));
    }
    assert_eq!(errors(&mut world), [Code::Overloaded]);
    world.run(10);
    assert_eq!(chunks_heard(&mut world).len() as u64, STREAM_WINDOW);
    answer_back(&mut world, &json!({"taken": 1}));
    world.run(10);
    tell(&mut world, &task, &chunk(STREAM_WINDOW));
    assert_eq!(errors(&mut world), []);
    // The end needs no room.
    let end = json!({"chunk": {"index": STREAM_WINDOW + 1, "last": true}});
    tell(&mut world, &task, &end);
    world.run(10);
    assert_eq!(chunks_heard(&mut world), [STREAM_WINDOW, STREAM_WINDOW + 1]);
}

#[test]
fn news_that_nobody_listens_to_or_that_are_malformed_are_refused_by_code() {
    let mut world = pair();
    request(&mut world, "");
    world.run(20);
    let task = tasks(&mut world, "b").remove(0);
    let long = "x".repeat(2_000);
    let cases = [
        (chunk(0), Code::NotStreamed),
        (question(1), Code::NobodyAnswers),
        (json!({}), Code::BadField),
        (json!({"progress": {"fraction": 1.5}}), Code::BadField),
        (json!({"progress": {"note": long}}), Code::TooLarge),
    ];
    for (news, code) in cases {
        tell(&mut world, &task, &news);
        assert_eq!(errors(&mut world), [code], "{news}");
    }
    let (mut world, task) = conversation();
    let nameless = json!({"name": "", "media_type": "", "size": 1, "sha256": "", "offset": 0});
    let huge =
        json!({"name": "a", "media_type": "", "size": 1u64 << 40, "sha256": "", "offset": 0});
    let unhashed = json!({"name": "a", "media_type": "", "size": 1, "sha256": "00", "offset": 0});
    let cases = [
        (chunk(1), Code::BadField),
        (question(0), Code::BadField),
        (
            json!({"chunk": {"index": 0, "data": "x".repeat(200_000)}}),
            Code::TooLarge,
        ),
        (
            json!({"chunk": {"index": 0, "artifact": nameless}}),
            Code::BadField,
        ),
        (
            json!({"chunk": {"index": 0, "artifact": huge}}),
            Code::TooLarge,
        ),
        (
            json!({"chunk": {"index": 0, "artifact": unhashed}}),
            Code::BadField,
        ),
    ];
    for (news, code) in cases {
        tell(&mut world, &task, &news);
        assert_eq!(errors(&mut world), [code], "{news}");
    }
    world.run(10);
    assert_eq!(heard(&mut world), [], "nothing of it went out");
    let mut unknown = task.clone();
    unknown.attempt = 9;
    tell(&mut world, &unknown, &chunk(0));
    assert_eq!(errors(&mut world), [Code::TaskUnknown]);
}

#[test]
fn of_many_progresses_in_a_short_time_the_newest_arrives() {
    let (mut world, task) = conversation();
    for percent in 0..50 {
        tell(
            &mut world,
            &task,
            &json!({"progress": {"fraction": f64::from(percent) / 100.0}}),
        );
    }
    world.run(PROGRESS_EVERY_MS + 20);
    let fractions = heard(&mut world)
        .into_iter()
        .filter_map(|(_, n)| n.progress?.fraction);
    assert_eq!(fractions.collect::<Vec<_>>(), [0.0, 0.49]);
}

#[test]
fn progress_that_is_told_again_is_heard_once() {
    let (mut world, task) = conversation();
    for fraction in [0.5, 0.5, 0.75] {
        tell(
            &mut world,
            &task,
            &json!({"progress": {"fraction": fraction}}),
        );
        world.run(PROGRESS_EVERY_MS + 20);
    }
    let heard = heard(&mut world).into_iter();
    let fractions: Vec<_> = heard.filter_map(|(_, n)| n.progress?.fraction).collect();
    assert_eq!(fractions, [0.5, 0.75]);
}

#[test]
fn an_answer_reaches_the_handler_once() {
    let (mut world, task) = conversation();
    tell(&mut world, &task, &question(1));
    world.run(10);
    assert_eq!(
        heard(&mut world)[0].1.question.as_ref().unwrap().prompt,
        "which?"
    );
    for _ in 0..2 {
        answer_back(
            &mut world,
            &json!({"answer": {"number": 1, "value": "that"}}),
        );
        world.run(10);
    }
    let answer = Answer {
        number: 1,
        value: json!("that"),
    };
    let got: Vec<_> = inputs(&mut world).into_iter().map(|i| i.answer).collect();
    assert_eq!(got, [Some(answer)]);
}

#[test]
fn a_stream_goes_on_through_the_queue_where_the_link_left_it() {
    let (mut world, task) = conversation();
    tell(&mut world, &task, &chunk(0));
    tell(&mut world, &task, &chunk(1));
    world.run(10);
    world.events("a");
    answer_back(&mut world, &json!({"taken": 1}));
    world.run(10);
    world.cut("a", "b");
    world.run(50);
    tell(&mut world, &task, &chunk(2));
    let submit = submits(&mut world).remove(0);
    assert!(submit.task.listens.stream && submit.task.listens.answers);
    // The queue gives the same attempt to the same agent: its sidecar says all that was not taken.
    world.signals("b");
    world.tell("b", &assign(task.task_id.as_str(), 1, 7));
    assert_eq!(tasks(&mut world, "b"), [], "it runs already");
    let repeated: Vec<_> = told(&mut world)
        .into_iter()
        .map(|(lease, n)| (lease, n.chunk.unwrap().index))
        .collect();
    assert_eq!(repeated, [(7, 1), (7, 2)]);
    // The asker hears only what it has not heard.
    let submitted = RegistrySignal::TaskSubmitted(TaskSubmitted {
        request_id: submit.request_id.clone(),
        task_id: task.task_id.clone(),
    });
    world.tell("a", &submitted);
    for index in [1, 2] {
        let news = serde_json::from_value(chunk(index)).unwrap();
        world.tell("a", &queue_news(&task, 1, news));
    }
    assert_eq!(chunks_heard(&mut world), [2]);
    // What it takes goes the same way back.
    answer_back(&mut world, &json!({"taken": 3}));
    let sent = world.signals("a").into_iter().any(
        |s| matches!(s, ClientSignal::TaskInput(i) if i.attempt == 1 && i.input.taken == Some(3)),
    );
    assert!(sent);
}

fn queue_news(task: &TaskEvent, attempt: u32, news: News) -> RegistrySignal {
    RegistrySignal::TaskNews(SubmittedTaskNews {
        task_id: task.task_id.clone(),
        attempt,
        news,
    })
}

#[test]
fn another_attempt_begins_the_stream_anew_and_the_earlier_one_is_not_heard_any_more() {
    let (mut world, task) = conversation();
    world.cut("a", "b");
    world.run(50);
    let news = |index| serde_json::from_value::<News>(chunk(index)).unwrap();
    world.tell("a", &queue_news(&task, 1, news(0)));
    world.tell("a", &queue_news(&task, 2, news(0)));
    world.tell("a", &queue_news(&task, 1, news(1)));
    world.tell("a", &queue_news(&task, 2, news(1)));
    let told: Vec<_> = heard(&mut world)
        .into_iter()
        .map(|(attempt, n)| (attempt, n.chunk.unwrap().index))
        .collect();
    assert_eq!(told, [(1, 0), (2, 0), (2, 1)]);
}

#[test]
fn a_handler_whose_registry_was_away_says_again_what_was_not_taken() {
    let mut world = pair();
    let mut assigned = assign("t", 1, 7);
    if let RegistrySignal::TaskAssign(body) = &mut assigned {
        body.listens.stream = true;
    }
    world.tell("b", &assigned);
    let task = tasks(&mut world, "b").remove(0);
    assert!(task.listens.answers, "a person answers queued work");
    tell(&mut world, &task, &chunk(0));
    tell(&mut world, &task, &question(1));
    assert_eq!(told(&mut world).len(), 2);
    world.disconnect_signaling("b");
    tell(&mut world, &task, &chunk(1));
    world.run(5_000);
    let again: Vec<_> = told(&mut world).into_iter().map(|(_, n)| n).collect();
    let chunks: Vec<_> = again
        .iter()
        .filter_map(|n| Some(n.chunk.as_ref()?.index))
        .collect();
    assert_eq!(chunks, [0, 1]);
    assert_eq!(again.iter().filter(|n| n.question.is_some()).count(), 1);
}

#[test]
fn an_asker_whose_registry_was_away_says_again_what_it_took_and_answered() {
    let (mut world, task) = conversation();
    world.cut("a", "b");
    world.run(50);
    let submit = submits(&mut world).remove(0);
    world.tell(
        "a",
        &RegistrySignal::TaskSubmitted(TaskSubmitted {
            request_id: submit.request_id,
            task_id: task.task_id.clone(),
        }),
    );
    world.tell(
        "a",
        &queue_news(&task, 1, serde_json::from_value(chunk(0)).unwrap()),
    );
    world.tell(
        "a",
        &queue_news(&task, 1, serde_json::from_value(question(1)).unwrap()),
    );
    world.disconnect_signaling("a");
    answer_back(&mut world, &json!({"answer": {"number": 1, "value": 5}}));
    clear(&mut world);
    world.run(5_000);
    let said: Vec<TaskInput> = world
        .signals("a")
        .into_iter()
        .filter_map(|s| match s {
            ClientSignal::TaskInput(body) => Some(body.input),
            _ => None,
        })
        .collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[0].answer.as_ref().unwrap().value, json!(5));
    assert_eq!(said[1].taken, Some(0), "the registry asks for the rest");
}

#[test]
fn a_question_that_is_asked_again_is_asked_once_and_its_answer_said_again() {
    let (mut world, task) = conversation();
    world.cut("a", "b");
    world.run(50);
    let ask = || serde_json::from_value::<News>(question(1)).unwrap();
    world.tell("a", &queue_news(&task, 1, ask()));
    world.tell("a", &queue_news(&task, 1, ask()));
    assert_eq!(heard(&mut world).len(), 1);
    answer_back(&mut world, &json!({"answer": {"number": 1, "value": 5}}));
    world.signals("a");
    world.tell("a", &queue_news(&task, 1, ask()));
    assert_eq!(heard(&mut world), []);
    let again = world.signals("a").into_iter().any(|s| {
        matches!(s, ClientSignal::TaskInput(i) if i.input.answer.as_ref().is_some_and(|a| a.value == 5))
    });
    assert!(again);
}

#[test]
fn a_handler_whose_sidecar_forgot_what_was_taken_is_told_it_instead_of_waiting_for_ever() {
    let (mut world, task) = conversation();
    for index in 0..4 {
        tell(&mut world, &task, &chunk(index));
    }
    world.run(10);
    answer_back(&mut world, &json!({"taken": 3}));
    world.run(10);
    world.cut("a", "b");
    world.run(50);
    clear(&mut world);
    let news = |index| serde_json::from_value(chunk(index)).unwrap();
    // The new sidecar says everything again that its agent does not know to be taken.
    world.tell("a", &queue_news(&task, 1, news(2)));
    world.tell("a", &queue_news(&task, 1, news(3)));
    world.tell("a", &queue_news(&task, 1, news(4)));
    assert_eq!(chunks_heard(&mut world), [4]);
    let said: Vec<_> = world
        .signals("a")
        .into_iter()
        .filter_map(|s| match s {
            ClientSignal::TaskInput(body) => Some(body.input),
            _ => None,
        })
        .collect();
    let taken = TaskInput {
        taken: Some(3),
        ..TaskInput::default()
    };
    assert_eq!(said, [taken], "once, and without asking for more");
}

#[test]
fn an_asker_that_lost_some_is_told_the_rest_again() {
    let mut world = pair();
    let mut assigned = assign("t", 1, 7);
    if let RegistrySignal::TaskAssign(body) = &mut assigned {
        body.listens.stream = true;
    }
    world.tell("b", &assigned);
    let task = tasks(&mut world, "b").remove(0);
    for index in 0..3 {
        tell(&mut world, &task, &chunk(index));
    }
    let input = |taken, again| {
        RegistrySignal::TaskInput(LeasedTaskInput {
            task_id: task.task_id.clone(),
            lease: 7,
            input: TaskInput {
                taken: Some(taken),
                again,
                ..TaskInput::default()
            },
        })
    };
    told(&mut world);
    world.tell("b", &input(1, false));
    assert_eq!(told(&mut world), []);
    world.tell("b", &input(1, true));
    let again: Vec<_> = told(&mut world)
        .into_iter()
        .map(|(_, n)| n.chunk.unwrap().index)
        .collect();
    assert_eq!(again, [1, 2]);
}

#[test]
fn a_new_sidecar_takes_up_the_work_its_agent_names_with_its_lease_its_question_and_its_stream() {
    let mut world = World::new(&["b"]);
    world.run(20);
    world.signals("b");
    world.connect_client("b", 1);
    let running = r#"[{"task_id":"t","attempt":2,"lease":7,"timeout_ms":60000}]"#;
    world.hello("b", "bob", &["add"], running);
    let named = world.signals("b").into_iter().find_map(|s| match s {
        ClientSignal::AgentRegister(body) => Some(body.leases),
        _ => None,
    });
    assert_eq!(
        named.unwrap()[0].lease,
        7,
        "the registry may leave it to us"
    );
    let task: TaskEvent = serde_json::from_value(
        json!({"task_id": "t", "attempt": 2, "skill": "add", "timeout_ms": 60000}),
    )
    .unwrap();
    tell(&mut world, &task, &chunk(4));
    tell(&mut world, &task, &chunk(5));
    tell(&mut world, &task, &question(3));
    let said = told(&mut world);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said.iter().all(|(lease, _)| *lease == 7));
    respond(&mut world, &task, DONE);
    assert_eq!(settled(&mut world), [(7, Some(TaskState::Completed))]);
}

#[test]
fn direct_work_of_before_a_restart_is_answered_when_the_queue_asks_for_it() {
    let mut world = World::new(&["b"]);
    world.run(20);
    world.connect_client("b", 1);
    let running = r#"[{"task_id":"t","attempt":1,"timeout_ms":60000}]"#;
    world.hello("b", "bob", &["add"], running);
    world.tell("b", &assign("t", 1, 3));
    assert_eq!(tasks(&mut world, "b"), [], "it runs already");
    let task: TaskEvent = serde_json::from_value(
        json!({"task_id": "t", "attempt": 1, "skill": "add", "timeout_ms": 60000}),
    )
    .unwrap();
    respond(&mut world, &task, DONE);
    assert_eq!(settled(&mut world), [(3, Some(TaskState::Completed))]);
}

#[test]
fn an_agent_that_returns_too_late_is_told_to_stop_what_was_given_back() {
    let mut world = pair();
    world.tell("b", &assign("t", 1, 5));
    world.disconnect_client("b");
    world.run(2_000);
    world.events("b");
    world.connect_client("b", 2);
    world.hello(
        "b",
        "bob",
        &["add"],
        r#"[{"task_id":"t","attempt":1,"lease":5}]"#,
    );
    let stops: Vec<_> = world
        .events("b")
        .into_iter()
        .filter_map(|e| match e {
            AgentEvent::TaskCancel(cancel) => Some((cancel.attempt, cancel.code)),
            _ => None,
        })
        .collect();
    assert_eq!(stops, [(1, Code::LeaseStale)]);
}

#[test]
fn what_stopped_work_asked_of_others_is_stopped_too() {
    let mut world = pair();
    // `a` works on a task of the queue, and asks `b` on its behalf.
    let mut parent = assign("parent", 1, 7);
    if let RegistrySignal::TaskAssign(body) = &mut parent {
        body.skill = "plan".to_owned();
    }
    world.tell("a", &parent);
    request(&mut world, r#","parent":"parent""#);
    world.run(20);
    assert_eq!(tasks(&mut world, "b").len(), 1);
    world.tell(
        "a",
        &RegistrySignal::TaskRevoke(TaskRevoke {
            task_id: "parent".parse().unwrap(),
            lease: 7,
            code: Code::Canceled,
        }),
    );
    world.run(20);
    let stopped = world
        .events("b")
        .into_iter()
        .any(|e| matches!(e, AgentEvent::TaskCancel(cancel) if cancel.code == Code::Canceled));
    assert!(stopped, "the child's handler is told to stop");
}
