//! An agent at work against the sidecar's end of the socket, where the test can do what no sidecar does on demand: hang
//! up half-way, hand work over twice, answer late.
#![allow(clippy::unwrap_used)]

mod sidecar_end;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use seamesh_agent::{Agent, Code, Ctx, SkillError};
use serde_json::{Value, json};
use sidecar_end::{CAP, SidecarEnd};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

fn panic_with(text: &str) -> Result<(), SkillError> {
    panic!("{text}")
}

async fn echo(_: Ctx, args: Value) -> Result<Value, SkillError> {
    Ok(args)
}

fn agent() -> Agent {
    Agent::new("a").skill("echo", echo)
}

#[tokio::test]
async fn a_task_event_runs_the_skill_and_the_sidecar_hears_its_result() {
    let sidecar = SidecarEnd::listen();
    let _running = agent().start(&sidecar.path).unwrap();
    let (mut client, hello) = sidecar.accept().await;
    assert_eq!(hello["agent"]["agent_id"], "a");
    assert_eq!(hello["agent"]["skills"][0]["name"], "echo");
    client.welcome().await;
    client.task("t1", "echo", json!({"n": 1})).await;
    let answer = client.expect("respond").await;
    let outcome = json!({"state": "completed", "result": {"n": 1}});
    assert_eq!(
        answer,
        json!({"task_id": "t1", "attempt": 1, "outcome": outcome})
    );
}

#[tokio::test]
async fn a_slow_skill_does_not_hold_up_the_next() {
    let sidecar = SidecarEnd::listen();
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let slow = move |_: Ctx, (): ()| {
        let go = waits.clone();
        async move {
            go.notified().await;
            Ok::<_, SkillError>("slow")
        }
    };
    let _running = agent().skill("slow", slow).start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    client.task("t1", "slow", json!({})).await;
    client.task("t2", "echo", json!({})).await;
    assert_eq!(client.expect("respond").await["task_id"], "t2");
    go.notify_one();
    assert_eq!(client.expect("respond").await["outcome"]["result"], "slow");
}

#[tokio::test]
async fn failures_of_a_skill_reach_the_asker_with_their_code_and_the_agent_goes_on() {
    let sidecar = SidecarEnd::listen();
    let refuse = |_: Ctx, (): ()| async {
        Err::<(), _>(SkillError::with_code(Code::BadArguments, "not these"))
    };
    let io =
        |_: Ctx, (): ()| async { Ok::<_, SkillError>(std::fs::read_to_string("/nonexistent")?) };
    let panics = |_: Ctx, (): ()| async { panic_with("boom") };
    let agent = agent()
        .skill("refuse", refuse)
        .skill("io", io)
        .skill("panics", panics);
    let _running = agent.start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    for (skill, code) in [
        ("refuse", "bad_arguments"),
        ("io", "skill_failed"),
        ("panics", "skill_failed"),
        ("nobody_has_it", "skill_unknown"),
    ] {
        client.task(skill, skill, json!({})).await;
        let answer = client.expect("respond").await;
        assert_eq!(answer["outcome"]["state"], "failed", "{skill}");
        assert_eq!(answer["outcome"]["error"]["code"], code, "{skill}");
    }
    client.task("last", "echo", json!({})).await;
    assert_eq!(
        client.expect("respond").await["outcome"]["state"],
        "completed"
    );
}

#[tokio::test]
async fn a_task_cancel_event_drops_the_skill_and_answers_canceled() {
    let sidecar = SidecarEnd::listen();
    let (dropped, mut was_dropped) = mpsc::unbounded_channel();
    let (started, mut has_started) = mpsc::unbounded_channel();
    struct OnDrop(mpsc::UnboundedSender<()>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let endless = move |_: Ctx, (): ()| {
        let (guard, started) = (OnDrop(dropped.clone()), started.clone());
        async move {
            let _guard = guard;
            started.send(()).unwrap();
            std::future::pending::<Result<(), SkillError>>().await
        }
    };
    let _running = agent()
        .skill("endless", endless)
        .start(&sidecar.path)
        .unwrap();
    let mut client = sidecar.welcome().await;
    client.task("t", "endless", json!({})).await;
    has_started.recv().await.unwrap();
    client
        .say(
            "task_cancel",
            json!({"task_id": "t", "attempt": 1, "code": "canceled"}),
        )
        .await;
    assert_eq!(
        client.expect("respond").await["outcome"]["state"],
        "canceled"
    );
    was_dropped.recv().await.unwrap();
}

#[tokio::test]
async fn work_survives_a_sidecar_that_restarts_and_runs_once_though_handed_over_twice() {
    let sidecar = SidecarEnd::listen();
    let (go, runs) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (waits, counts) = (go.clone(), runs.clone());
    let slow = move |_: Ctx, (): ()| {
        let (go, runs) = (waits.clone(), counts.clone());
        async move {
            runs.fetch_add(1, Ordering::SeqCst);
            go.notified().await;
            Ok::<_, SkillError>("done")
        }
    };
    let _running = agent().skill("slow", slow).start(&sidecar.path).unwrap();
    let mut first = sidecar.welcome().await;
    first.task("t", "slow", json!({})).await;
    first.task("seen", "echo", json!({})).await;
    first.expect("respond").await;
    drop(first);
    let (mut second, hello) = sidecar.accept().await;
    let known = json!([{"task_id": "t", "attempt": 1, "timeout_ms": 60_000, "depth": 0}]);
    assert_eq!(hello["running"], known);
    second.welcome().await;
    second.task("t", "slow", json!({})).await;
    go.notify_one();
    let answer = second.expect("respond").await;
    assert_eq!(
        (&answer["task_id"], &answer["outcome"]["result"]),
        (&json!("t"), &json!("done"))
    );
    second.task("t", "slow", json!({})).await;
    assert_eq!(
        second.expect("respond").await["outcome"]["result"],
        "done",
        "from memory"
    );
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_delegation_goes_under_its_task_and_comes_back_as_the_skills_result() {
    let sidecar = SidecarEnd::listen();
    let ask = |ctx: Ctx, (): ()| async move {
        let reply = ctx
            .delegate("add", json!({"a": 1}))
            .to("adder")
            .timeout(Duration::from_secs(3))
            .reply()
            .await?;
        Ok::<_, SkillError>(json!([reply.result, reply.agent_id]))
    };
    let _running = agent().skill("ask", ask).start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    client.task("t", "ask", json!({})).await;
    let request = client.expect("request").await;
    assert_eq!(request["skill"], "add");
    assert_eq!(request["to"], "adder");
    assert_eq!(request["payload"], json!({"a": 1}));
    assert_eq!(request["timeout_ms"], 3000);
    assert_eq!(request["parent"], "t");
    let id = &request["request_id"];
    client
        .say(
            "accepted",
            json!({"request_id": id, "task_id": "c", "path": "direct"}),
        )
        .await;
    let outcome = json!({"state": "completed", "result": 2});
    let response = json!({"request_id": id, "task_id": "c", "outcome": outcome, "path": "direct", "agent_id": "adder"});
    client.say("response", response).await;
    let answer = client.expect("respond").await;
    assert_eq!(answer["outcome"]["result"], json!([2, "adder"]));
}

#[tokio::test]
async fn submitting_without_waiting_ends_with_accepted() {
    let sidecar = SidecarEnd::listen();
    let running = agent().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    let mesh = running.mesh().clone();
    let submitting = tokio::spawn(async move { mesh.delegate("add", json!({})).submit().await });
    let request = client.expect("request").await;
    assert_eq!(request["wait"], false);
    client
        .say(
            "accepted",
            json!({"request_id": request["request_id"], "task_id": "c", "path": "queue"}),
        )
        .await;
    assert_eq!(submitting.await.unwrap().unwrap().as_str(), "c");
}

#[tokio::test]
async fn a_delegation_that_is_dropped_is_canceled_at_the_sidecar() {
    let sidecar = SidecarEnd::listen();
    let running = agent().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    let mesh = running.mesh().clone();
    let asking = tokio::spawn(async move { mesh.delegate("add", json!({})).await });
    let request = client.expect("request").await;
    asking.abort();
    assert_eq!(
        client.expect("cancel").await["request_id"],
        request["request_id"]
    );
}

#[tokio::test]
async fn errors_of_the_sidecar_and_a_lost_connection_end_a_delegation_with_their_code() {
    let sidecar = SidecarEnd::listen();
    let running = agent().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    let mesh = running.mesh().clone();
    let asking = tokio::spawn(async move { mesh.delegate("add", json!({})).await });
    let id = client.expect("request").await["request_id"].clone();
    let problem = json!({"code": "no_agent", "detail": "nobody", "fault": "caller", "retry": "later", "request_id": id});
    client.say("error", problem).await;
    assert_eq!(asking.await.unwrap().unwrap_err().code, Code::NoAgent);

    let mesh = running.mesh().clone();
    let asking = tokio::spawn(async move { mesh.delegate("add", json!({})).await });
    client.expect("request").await;
    drop(client);
    assert_eq!(asking.await.unwrap().unwrap_err().code, Code::AgentAway);
}

#[tokio::test]
async fn messages_arrive_in_order_and_are_sent_in_order() {
    let sidecar = SidecarEnd::listen();
    let (seen, mut messages) = mpsc::unbounded_channel();
    let agent = agent().on_message(move |_, message| seen.send(message).unwrap());
    let running = agent.start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    for n in 0..100 {
        let message = json!({"type": "agent_prompt", "payload": n, "unknown": true});
        client
            .say("message", json!({"from_peer": "p", "message": message}))
            .await;
    }
    for n in 0..100 {
        let message = messages.recv().await.unwrap();
        assert_eq!(
            message.message.text(),
            json!({"type": "agent_prompt", "payload": n, "unknown": true}).to_string()
        );
    }
    running.mesh().ready().await.unwrap();
    for n in 0..100 {
        running
            .mesh()
            .send(&"p".parse().unwrap(), &n.to_string())
            .await
            .unwrap();
    }
    for n in 0..100 {
        let sent = client.expect("send").await;
        assert_eq!(sent["target_peer"], "p");
        assert_eq!(sent["message"]["payload"]["message"], n.to_string());
        assert_eq!(sent["message"]["source_agent"], "a");
    }
}

#[tokio::test]
async fn lines_that_are_no_events_are_skipped_and_the_next_is_served() {
    let sidecar = SidecarEnd::listen();
    let _running = agent().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    client
        .0
        .get_mut()
        .write_all(b"not json\n\xff\xfe\n{\"type\":\"task\"}\n\n")
        .await
        .unwrap();
    client.task("t", "echo", json!({})).await;
    assert_eq!(client.expect("respond").await["task_id"], "t");
}

#[tokio::test]
async fn a_stopped_agent_lets_work_end_then_says_goodbye() {
    let sidecar = SidecarEnd::listen();
    let (go, started) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (waits, tells) = (go.clone(), started.clone());
    let slow = move |_: Ctx, (): ()| {
        let (go, started) = (waits.clone(), tells.clone());
        async move {
            started.notify_one();
            go.notified().await;
            Ok::<_, SkillError>(1)
        }
    };
    let running = agent().skill("slow", slow).start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    client.task("t", "slow", json!({})).await;
    started.notified().await;
    let stopping = tokio::spawn(running.stop(CAP));
    go.notify_one();
    client.expect("respond").await;
    client.expect("goodbye").await;
    stopping.await.unwrap();
}

#[tokio::test]
async fn an_agent_that_has_said_goodbye_connects_no_more() {
    let sidecar = SidecarEnd::listen();
    let running = agent().start(&sidecar.path).unwrap();
    let mut client = sidecar.welcome().await;
    running.mesh().ready().await.unwrap();
    let stopping = tokio::spawn(running.stop(CAP));
    client.expect("goodbye").await;
    // The agent hangs up by itself: the sidecar has its connection still.
    let mut rest = String::new();
    let read = client.0.read_line(&mut rest);
    assert_eq!(
        tokio::time::timeout(CAP, read).await.unwrap().unwrap(),
        0,
        "{rest}"
    );
    tokio::time::timeout(CAP, stopping).await.unwrap().unwrap();
    sidecar.listener.into_std().unwrap().accept().unwrap_err();
}

#[test]
fn an_agent_that_is_badly_declared_says_what_is_wrong() {
    let told = |agent: Agent| agent.profile().unwrap_err().to_string();
    assert!(told(Agent::new("two words")).contains("letters, digits"));
    assert!(told(agent().skill("echo", echo)).contains("two skills called \"echo\""));
    assert!(told(agent().skill("", echo)).contains("no skill name"));
    let many = (0..257).fold(Agent::new("m"), |agent, n| {
        agent.skill(&n.to_string(), echo)
    });
    assert!(told(many).contains("at most 256"));
}
