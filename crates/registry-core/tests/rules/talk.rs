use seamesh_proto::events::MeshEvent;
use seamesh_proto::limits::{INPUT_GRACE_MS, RECONNECT_GRACE_MS};
use seamesh_proto::signaling::{ClientSignal, RegistrySignal, TaskAssign, TaskInputTo, TaskNews};
use seamesh_proto::talk::{Answer, Listens, News, TaskInput};
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Code, TaskState};
use seamesh_registry_core::limits::PROGRESS_EVENT_MS;
use seamesh_registry_core::{ConnId, Op};
use serde_json::{Value, json};

use crate::world::{World, agent_role, id, lease, operator, peer, work};

struct Talk {
    world: World,
    asker: ConnId,
    worker: ConnId,
    assign: TaskAssign,
}

/// Task `t` of `asker`, who listens as said, with `worker`.
fn talk(listens: Listens) -> Talk {
    let mut world = World::new();
    let asker = world.agent("asker", &["ask"]);
    let worker = world.agent("worker", &["work"]);
    let submit = json!({"request_id": "r", "task": SubmitTask { listens, ..work("t", "work") }});
    let submit = serde_json::from_value(submit).unwrap();
    world.say(asker, &peer("asker"), &ClientSignal::TaskSubmit(submit));
    let assign = world.assigned(worker).remove(0);
    world.heard(asker);
    Talk {
        world,
        asker,
        worker,
        assign,
    }
}

fn both() -> Listens {
    Listens {
        stream: true,
        answers: true,
    }
}

fn news(value: Value) -> News {
    serde_json::from_value(value).unwrap()
}

fn question(number: u32) -> News {
    news(json!({"question": {"number": number, "prompt": "which?"}}))
}

fn answer(number: u32, value: Value) -> Answer {
    Answer { number, value }
}

impl Talk {
    fn tell(&mut self, news: News) {
        let body = TaskNews {
            task_id: id("t"),
            lease: self.assign.lease,
            news,
        };
        self.world
            .say(self.worker, &peer("worker"), &ClientSignal::TaskNews(body));
    }

    fn input(&mut self, input: TaskInput) {
        let body = TaskInputTo {
            task_id: id("t"),
            attempt: self.assign.attempt,
            input,
        };
        self.world
            .say(self.asker, &peer("asker"), &ClientSignal::TaskInput(body));
    }

    fn heard(&mut self) -> Vec<News> {
        news_of(self.world.heard(self.asker))
    }

    fn told(&mut self) -> Vec<(u64, TaskInput)> {
        inputs_of(self.world.heard(self.worker))
    }

    fn by_person(&mut self, number: u32) -> Result<(), Code> {
        let op = Op::AnswerTask {
            task_id: id("t"),
            answer: answer(number, json!("that")),
        };
        let done = self.world.ask(operator(), op);
        done.map(|_| ()).map_err(|problem| problem.code)
    }
}

fn news_of(signals: Vec<RegistrySignal>) -> Vec<News> {
    let news = signals.into_iter().filter_map(|s| match s {
        RegistrySignal::TaskNews(body) => Some(body.news),
        _ => None,
    });
    news.collect()
}

fn inputs_of(signals: Vec<RegistrySignal>) -> Vec<(u64, TaskInput)> {
    let inputs = signals.into_iter().filter_map(|s| match s {
        RegistrySignal::TaskInput(body) => Some((body.lease, body.input)),
        _ => None,
    });
    inputs.collect()
}

#[test]
fn chunks_go_to_the_asker_and_what_it_takes_to_the_holder() {
    let mut talk = talk(both());
    assert_eq!(talk.assign.listens, both());
    talk.tell(news(json!({"chunk": {"index": 0, "data": 1}})));
    assert_eq!(talk.heard().len(), 1);
    talk.input(TaskInput {
        taken: Some(1),
        ..TaskInput::default()
    });
    let told = talk.told();
    assert_eq!((told[0].0, told[0].1.taken), (talk.assign.lease, Some(1)));
}

#[test]
fn an_asker_that_lost_only_its_socket_is_told_again_what_it_missed() {
    let watch = json!({"type": "task_watch", "peer_id": "p-asker", "payload": {"task_ids": ["t"]}});
    let task = SubmitTask {
        listens: both(),
        ..work("t", "work")
    };
    let submit = json!({"type": "task_submit", "peer_id": "p-asker",
        "payload": {"request_id": "r", "task": task}});
    for said in [watch, submit] {
        let mut talk = talk(both());
        talk.world.close(talk.asker);
        let half = news(json!({"progress": {"fraction": 0.5, "note": "half"}}));
        talk.tell(half.clone());
        talk.tell(news(json!({"chunk": {"index": 0, "data": 1}})));
        talk.tell(question(1));
        talk.asker = talk.world.sidecar(&peer("asker"));
        talk.heard();
        talk.told();
        talk.world.raw(talk.asker, said);
        assert_eq!(talk.heard(), [half, question(1)]);
        let told = talk.told();
        assert_eq!((told.len(), told[0].0), (1, talk.assign.lease));
        assert!(told[0].1.again, "the holder kept the chunk");
    }
}

#[test]
fn an_asker_hears_only_what_it_listens_to_and_a_task_shows_its_progress() {
    let mut talk = talk(Listens::default());
    talk.tell(news(json!({"chunk": {"index": 0, "data": 1}})));
    talk.tell(question(1));
    assert_eq!(talk.heard(), []);
    talk.tell(news(json!({"progress": {"fraction": 0.5, "note": "half"}})));
    assert_eq!(talk.heard().len(), 1);
    let shown = talk.world.task("t").progress.unwrap();
    assert_eq!((shown.fraction, shown.note.as_str()), (Some(0.5), "half"));
}

#[test]
fn watchers_are_told_of_progress_at_once_then_once_a_second_and_always_the_last_word() {
    let mut talk = talk(Listens::default());
    let seen = |talk: &Talk| -> Vec<f64> {
        let records = talk.world.store.events_after(0).into_iter();
        let fractions = records.filter_map(|record| match record.event {
            MeshEvent::TaskChanged(task) => task.progress?.fraction,
            _ => None,
        });
        fractions.collect()
    };
    for fraction in [0.1, 0.2, 0.3] {
        talk.tell(news(
            json!({"progress": {"fraction": fraction, "note": ""}}),
        ));
    }
    assert_eq!(seen(&talk), [0.1]);
    talk.world.pass(PROGRESS_EVENT_MS);
    assert_eq!(seen(&talk), [0.1, 0.3]);
    talk.world.pass(5 * PROGRESS_EVENT_MS);
    assert_eq!(seen(&talk), [0.1, 0.3]);
}

#[test]
fn news_under_another_lease_or_of_another_sidecar_stop_their_work_and_reach_nobody() {
    let mut talk = talk(both());
    talk.assign.lease += 1;
    talk.tell(news(json!({"chunk": {"index": 0}})));
    assert_eq!(talk.heard(), []);
    let revoked = talk
        .world
        .heard(talk.worker)
        .into_iter()
        .any(|s| matches!(s, RegistrySignal::TaskRevoke(r) if r.code == Code::LeaseStale));
    assert!(revoked);
    talk.tell(news(json!({})));
    assert_eq!(talk.world.errors(talk.worker)[0].code, Code::BadField);
}

#[test]
fn a_question_makes_the_task_wait_until_its_asker_answers() {
    let mut talk = talk(both());
    talk.tell(question(1));
    assert_eq!(talk.heard(), [question(1)]);
    let task = talk.world.task("t");
    assert_eq!(task.state, TaskState::InputRequired);
    assert_eq!(task.question.unwrap().prompt, "which?");
    talk.input(TaskInput {
        answer: Some(answer(1, json!("that"))),
        ..TaskInput::default()
    });
    assert_eq!(talk.told()[0].1.answer, Some(answer(1, json!("that"))));
    let task = talk.world.task("t");
    assert_eq!((task.state, task.question), (TaskState::Assigned, None));
}

#[test]
fn a_person_answers_once_and_only_the_open_question() {
    let mut talk = talk(Listens::default());
    assert_eq!(talk.by_person(1), Err(Code::TaskState), "nothing is asked");
    talk.tell(question(1));
    assert_eq!(talk.by_person(2), Err(Code::TaskState), "another question");
    let stranger = Op::AnswerTask {
        task_id: id("t"),
        answer: answer(1, json!("mine")),
    };
    let refused = talk.world.ask(agent_role("p-worker"), stranger);
    assert_eq!(refused.unwrap_err().code, Code::Forbidden);
    assert_eq!(talk.by_person(1), Ok(()));
    assert_eq!(talk.told()[0].1.answer, Some(answer(1, json!("that"))));
    assert_eq!(talk.by_person(1), Err(Code::TaskState), "it was answered");
    let unknown = Op::AnswerTask {
        task_id: id("no-such"),
        answer: answer(1, json!(1)),
    };
    let unknown = talk.world.ask(operator(), unknown);
    assert_eq!(unknown.unwrap_err().code, Code::TaskUnknown);
    let held = lease(&talk.assign);
    talk.world.result(talk.worker, "worker", &held, "done");
    assert_eq!(talk.by_person(1), Err(Code::TaskState), "it has ended");
}

#[test]
fn a_question_and_its_answer_survive_a_restart_of_the_registry() {
    let mut talk = talk(Listens::default());
    talk.tell(question(1));
    talk.world.restart();
    let task = talk.world.task("t");
    assert_eq!(task.state, TaskState::InputRequired);
    // Answered while its sidecar is not there yet.
    assert_eq!(talk.by_person(1), Ok(()));
    talk.world.restart();
    talk.worker = talk.world.sidecar("p-worker");
    let held = lease(&talk.assign);
    talk.world
        .register(talk.worker, "worker", &["work"], &[held]);
    let told = talk.told();
    assert_eq!(told[0].1.answer, Some(answer(1, json!("that"))));
    // Asked again by a sidecar that did not hear it: the answer comes again, and the task does not wait.
    talk.tell(question(1));
    assert_eq!(talk.told()[0].1.answer, Some(answer(1, json!("that"))));
    assert_eq!(talk.world.task("t").state, TaskState::Assigned);
}

#[test]
fn work_that_waits_for_an_answer_is_kept_for_a_sidecar_that_restarts_and_other_work_is_not() {
    let mut talk = talk(Listens::default());
    talk.tell(question(1));
    talk.world.close(talk.worker);
    talk.world.pass(RECONNECT_GRACE_MS + 100);
    assert_eq!(talk.world.task("t").state, TaskState::InputRequired);
    talk.worker = talk.world.sidecar("p-worker");
    let held = lease(&talk.assign);
    talk.world
        .register(talk.worker, "worker", &["work"], &[held]);
    assert_eq!(talk.by_person(1), Ok(()));
    assert_eq!(talk.told()[0].0, talk.assign.lease);
    // Answered, it is work like any other.
    talk.world.close(talk.worker);
    talk.world.pass(RECONNECT_GRACE_MS + 100);
    assert_eq!(talk.world.task("t").state, TaskState::Pending);
}

#[test]
fn a_sidecar_that_does_not_come_back_loses_the_question_with_the_attempt() {
    let mut talk = talk(Listens::default());
    talk.tell(question(1));
    talk.world.close(talk.worker);
    talk.world.pass(RECONNECT_GRACE_MS + INPUT_GRACE_MS + 100);
    let task = talk.world.task("t");
    assert_eq!((task.state, task.question), (TaskState::Pending, None));
}
