//! What a skill and its asker say to each other before the result, over both paths and through restarts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::Result;
use seamesh_agent::{Agent, Artifact, Code, Ctx, MeshError, Part, Path, Question, SkillError, Via};
use seamesh_harness::Mesh;
use seamesh_proto::limits::STREAM_WINDOW;
use seamesh_proto::talk::Answer;
use seamesh_proto::task::SubmitTask;
use seamesh_proto::{Payload, TaskState};
use seamesh_tests::{Checked, Member, cap, in_time};
use serde_json::{Value, json};

/// Counts up in chunks, makes an artifact of a megabyte, and returns how far it came.
async fn count(ctx: Ctx, to: u64) -> Result<u64, SkillError> {
    for n in 0..to {
        ctx.chunk(n).await?;
    }
    let picture: Vec<u8> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    ctx.artifact("picture", "image/x-test", &picture).await?;
    Ok(to)
}

/// Asks what to do, and returns the answer beside the attempt.
async fn ask_first(ctx: Ctx, (): ()) -> Result<Value, SkillError> {
    ctx.progress(0.5, "asking");
    let answer = ctx.ask("Which one?").await?;
    Ok(json!([answer, ctx.attempt()]))
}

fn talker(name: &str) -> Agent {
    Agent::new(name)
        .skill("count", count)
        .skill("ask_first", ask_first)
        .skill("echo", async |_: Ctx, said: String| {
            Ok::<_, SkillError>(said)
        })
}

async fn pair(mesh: &Mesh) -> Result<(Member, Member)> {
    let asker = Member::join(mesh, "asker-peer", Agent::new("asker")).await?;
    let talker = Member::join(mesh, "talker-peer", talker("talker")).await?;
    asker.linked_with(&["talker-peer"]).await?;
    asker.knows("count").await?;
    Ok((asker, talker))
}

/// Has chunks and an artifact come, whole and in order; the path of what came.
async fn everything_streamed(asker: &Member, via: Via) -> Result<Path> {
    let counted = asker.view().delegate("count", 200).via(via);
    let mut stream = counted.stream().await?;
    let (mut chunks, mut artifacts) = (Vec::new(), Vec::new());
    while let Some(part) = in_time("a part", stream.next()).await? {
        match part? {
            Part::Chunk(value) => chunks.push(value),
            Part::Artifact(artifact) => artifacts.push(artifact),
            Part::Progress(_) | Part::Restarted => {}
        }
    }
    assert_eq!(chunks, (0..200).map(Value::from).collect::<Vec<_>>());
    let bytes = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let picture = Artifact {
        name: "picture".to_owned(),
        media_type: "image/x-test".to_owned(),
        bytes,
    };
    assert_eq!(artifacts, [picture]);
    let reply = stream.reply().await?;
    assert_eq!(reply.result, json!(200));
    Ok(reply.path)
}

#[tokio::test]
async fn chunks_and_artifacts_come_whole_and_in_order_over_a_link() -> Checked {
    let mesh = Mesh::start().await?;
    let (asker, _talker) = pair(&mesh).await?;
    assert_eq!(
        everything_streamed(&asker, Via::Direct).await?,
        Path::Direct
    );
    Ok(())
}

#[tokio::test]
async fn chunks_and_artifacts_come_whole_and_in_order_through_the_queue() -> Checked {
    let mesh = Mesh::start().await?;
    let (asker, _talker) = pair(&mesh).await?;
    assert_eq!(everything_streamed(&asker, Via::Queue).await?, Path::Queue);
    Ok(())
}

/// `cargo xtask seams` breaks the link at each message that passes here.
#[tokio::test]
async fn work_is_done_once_and_whole_whatever_becomes_of_its_link() -> Checked {
    let mesh = Mesh::start().await?;
    let (asker, _talker) = pair(&mesh).await?;
    let (holder, mut probe) = seamesh_tests::Probe::agent("holder");
    let _holder = Member::join(&mesh, "holder-peer", holder).await?;
    asker.linked_with(&["talker-peer", "holder-peer"]).await?;
    asker.knows("hold").await?;
    let long = "x".repeat(600_000);
    let echo = asker.view().delegate("echo", &long).into_future();
    assert!(in_time("the echo", echo).await?? == json!(long));
    let asked = asker.view().delegate("ask_first", ());
    let answered = asked.on_question(|_| async move { Ok(json!("this")) });
    let answered = in_time("the result", answered.into_future()).await??;
    assert_eq!(answered, json!(["this", 1]), "of the first attempt");
    let view = asker.view().clone();
    let held = tokio::spawn(async move { view.delegate("hold", json!({})).await });
    probe.started().await?;
    held.abort();
    probe.given_up().await?;
    assert_eq!(probe.runs(), 1);
    Ok(())
}

#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_skill_at_its_window() -> Checked {
    let mesh = Mesh::start().await?;
    let sent = Arc::new(AtomicU64::new(0));
    let sending = sent.clone();
    let pour = move |ctx: Ctx, (): ()| {
        let sent = sending.clone();
        async move {
            for n in 0..STREAM_WINDOW * 4 {
                ctx.chunk(n).await?;
                sent.fetch_add(1, Ordering::SeqCst);
            }
            Ok::<_, SkillError>(())
        }
    };
    let quick = |_: Ctx, (): ()| async { Ok::<_, SkillError>("done") };
    let agent = Agent::new("pourer")
        .skill("pour", pour)
        .skill("quick", quick);
    let asker = Member::join(&mesh, "asker-peer", Agent::new("asker")).await?;
    let _pourer = Member::join(&mesh, "pourer-peer", agent).await?;
    asker.linked_with(&["pourer-peer"]).await?;
    asker.knows("pour").await?;
    let mut stream = asker.view().delegate("pour", ()).stream().await?;
    let first = in_time("a part", stream.next()).await?.unwrap()?;
    assert_eq!(first, Part::Chunk(json!(0)));
    // Other work over the same sockets goes on, time and again, and the stream stands where its window ends.
    for _ in 0..50 {
        let quick: String = asker.view().delegate("quick", ()).get().await?;
        assert_eq!(quick, "done");
    }
    assert!(sent.load(Ordering::SeqCst) <= STREAM_WINDOW);
    let reply = stream.reply().await?;
    assert_eq!(reply.result, Value::Null);
    assert_eq!(sent.load(Ordering::SeqCst), STREAM_WINDOW * 4);
    Ok(())
}

#[tokio::test]
async fn a_skill_that_streams_to_nobody_is_told_so() -> Checked {
    let mesh = Mesh::start().await?;
    let (asker, _talker) = pair(&mesh).await?;
    let error = asker.view().delegate("count", 5).await.unwrap_err();
    assert_eq!(error.code, Code::SkillFailed, "{error}");
    assert!(error.message.contains("takes no chunks"), "{error}");
    let error = asker.view().delegate("ask_first", ()).await.unwrap_err();
    assert!(error.message.contains("answers no questions"), "{error}");
    Ok(())
}

async fn asked_and_answered(via: Via) -> Checked {
    let mesh = Mesh::start().await?;
    let (asker, _talker) = pair(&mesh).await?;
    let notes = Arc::new(Mutex::new(Vec::new()));
    let seen = notes.clone();
    let result = asker
        .view()
        .delegate("ask_first", ())
        .via(via)
        .on_progress(move |progress| seen.lock().unwrap().push(progress.note.clone()))
        .on_question(|question: Question| async move {
            assert_eq!(question.prompt, "Which one?");
            Ok(json!({"this": 1}))
        });
    let result = in_time("the result", result.into_future()).await??;
    assert_eq!(result, json!([{"this": 1}, 1]));
    assert_eq!(*notes.lock().unwrap(), ["asking"]);
    Ok(())
}

#[tokio::test]
async fn an_asker_hears_of_progress_and_answers_over_a_link() -> Checked {
    asked_and_answered(Via::Direct).await
}

#[tokio::test]
async fn an_asker_hears_of_progress_and_answers_through_the_queue() -> Checked {
    asked_and_answered(Via::Queue).await
}

#[tokio::test]
async fn a_question_of_delegated_work_comes_to_whoever_asked_first() -> Checked {
    let mesh = Mesh::start().await?;
    let relay = |ctx: Ctx, (): ()| async move {
        let answer: Value = ctx.delegate("ask_first", ()).to("talker").await?;
        Ok::<_, SkillError>(answer)
    };
    let middle = Agent::new("middle").skill("relay", relay);
    let _middle = Member::join(&mesh, "middle-peer", middle).await?;
    let _talker = Member::join(&mesh, "talker-peer", talker("talker")).await?;
    // A person asked, through the queue: the question stands on the person's task.
    let task = SubmitTask {
        skill: "relay".to_owned(),
        ..SubmitTask::default()
    };
    let mut watch = mesh.watch().await?;
    let id = mesh.admin().submit(&task).await?;
    watch
        .task(&id, |task| task.state == TaskState::InputRequired)
        .await?;
    let question = mesh.admin().task(&id).await?.question.unwrap();
    assert_eq!(question.prompt, "Which one?");
    let answer = Answer {
        number: question.number,
        value: json!("that"),
    };
    mesh.admin().answer_task(&id, &answer).await?;
    let done = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(done.result, json!(["that", 1]));
    Ok(())
}

#[tokio::test]
async fn a_question_outlives_the_registry_and_the_sidecar_and_the_handler_runs_once() -> Checked {
    let mut mesh = Mesh::start().await?;
    let mut talker = Member::join(&mesh, "talker-peer", talker("talker")).await?;
    let task = SubmitTask {
        skill: "ask_first".to_owned(),
        payload: Payload::EMPTY,
        ..SubmitTask::default()
    };
    let mut watch = mesh.watch().await?;
    let id = mesh.admin().submit(&task).await?;
    watch
        .task(&id, |task| task.state == TaskState::InputRequired)
        .await?;
    mesh.registry.kill().await?;
    mesh.restart_registry().await?;
    talker.sidecar.process.kill().await?;
    mesh.restart_sidecar(&mut talker.sidecar).await?;
    let asked = mesh.admin().task(&id).await?;
    assert_eq!(asked.state, TaskState::InputRequired);
    let number = asked.question.unwrap().number;
    let value = json!("after all that");
    mesh.admin()
        .answer_task(&id, &Answer { number, value })
        .await?;
    let done = mesh.admin().wait(&id, cap()).await?;
    assert_eq!(done.state, TaskState::Completed);
    // The first attempt, which never stopped, has the answer.
    assert_eq!(done.result, json!(["after all that", 1]));
    Ok(())
}

#[tokio::test]
async fn a_stream_goes_on_when_the_sidecar_of_its_skill_is_started_again() -> Checked {
    let mesh = Mesh::start().await?;
    let asker = Member::join(&mesh, "asker-peer", Agent::new("asker")).await?;
    let mut talker = Member::join(&mesh, "talker-peer", talker("talker")).await?;
    asker.knows("count").await?;
    let mut stream = asker
        .view()
        .delegate("count", 500)
        .via(Via::Queue)
        .stream()
        .await?;
    let mut got = Vec::new();
    let mut restarts = 0;
    loop {
        let part = in_time("a part", stream.next()).await?;
        match part.transpose()? {
            Some(Part::Chunk(value)) => got.push(value),
            Some(Part::Restarted) => {
                restarts += 1;
                got.clear();
            }
            Some(_) => {}
            None => break,
        }
        if got.len() == 40 && restarts == 0 {
            talker.sidecar.process.kill().await?;
            mesh.restart_sidecar(&mut talker.sidecar).await?;
        }
    }
    // Whether its attempt was kept or another began: every chunk came, in order.
    assert_eq!(got, (0..500).map(Value::from).collect::<Vec<_>>());
    assert_eq!(stream.reply().await?.result, json!(500));
    Ok(())
}

async fn cancels_what_was_asked(via: Via) -> Checked {
    let mesh = Mesh::start().await?;
    let (holder, mut probe) = seamesh_tests::Probe::agent("holder");
    let relay = move |ctx: Ctx, (): ()| async move {
        let held: Result<Value, MeshError> = ctx.delegate("hold", json!({})).via(via).await;
        Ok::<_, SkillError>(held?)
    };
    let middle = Agent::new("middle").skill("relay", relay);
    let middle = Member::join(&mesh, "middle-peer", middle).await?;
    let _holder = Member::join(&mesh, "holder-peer", holder).await?;
    middle.linked_with(&["holder-peer"]).await?;
    middle.knows("hold").await?;
    let task = SubmitTask {
        skill: "relay".to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&task).await?;
    let child = probe.started().await?;
    mesh.admin().cancel(&id).await?;
    in_time("the child's handler hears of it", child.canceled()).await?;
    Ok(())
}

#[tokio::test]
async fn canceling_work_stops_what_it_asked_of_others_over_a_link() -> Checked {
    cancels_what_was_asked(Via::Direct).await
}

#[tokio::test]
async fn canceling_work_stops_what_it_asked_of_others_through_the_queue() -> Checked {
    cancels_what_was_asked(Via::Queue).await
}
