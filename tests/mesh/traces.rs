//! Trace context across every seam, and the spans that a collector gets of it.

use seamesh_agent::{Agent, Ctx, MeshError, SkillError, Via};
use seamesh_harness::Mesh;
use seamesh_proto::TraceContext;
use seamesh_proto::task::{Lineage, SubmitTask};
use seamesh_tests::{Checked, Collector, Member, Span, cap};
use serde_json::{Value, json};

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn passed_on(error: MeshError) -> SkillError {
    SkillError::with_code(error.code, error.message)
}

fn loopback() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// An agent whose skill gives the span of its run.
fn traced(name: &str, skill: &str) -> Agent {
    Agent::new(name).skill(skill, |ctx: Ctx, _: Value| async move {
        Ok::<_, SkillError>(ctx.traceparent().map(|span| span.to_string()))
    })
}

/// An agent whose skill asks for another's, each way, and gives its own span.
fn lead() -> Agent {
    Agent::new("lead").skill("plan", |ctx: Ctx, _: Value| async move {
        for (skill, via) in [("near", Via::Direct), ("far", Via::Queue)] {
            let asked = ctx.delegate(skill, json!({})).via(via);
            asked.await.map_err(passed_on)?;
        }
        Ok::<_, SkillError>(ctx.traceparent().map(|span| span.to_string()))
    })
}

fn one<'a>(spans: &'a [Span], skill: &str, service: &str) -> &'a Span {
    let mut found = spans
        .iter()
        .filter(|s| s.text("name") == skill && s.service == service);
    let one = found.next();
    assert!(
        found.next().is_none(),
        "{skill} of {service} twice: {spans:?}"
    );
    one.unwrap_or_else(|| panic!("no span {skill} of {service}: {spans:?}"))
}

#[tokio::test]
async fn a_tree_over_both_paths_is_one_trace_of_all_its_agents_under_the_callers_span() -> Checked {
    let mut collector = Collector::start(loopback(), "200 OK").await?;
    let mesh = Mesh::builder()
        .registry_arg("--otlp")
        .registry_arg(collector.url())
        .start()
        .await?;
    let lead = Member::join(&mesh, "lead-peer", lead()).await?;
    let _near = Member::join(&mesh, "near-peer", traced("near-agent", "near")).await?;
    let _far = Member::join(&mesh, "far-peer", traced("far-agent", "far")).await?;
    lead.linked_with(&["near-peer", "far-peer"]).await?;
    lead.knows("near").await?;
    lead.knows("far").await?;

    let given: TraceContext = GIVEN.parse()?;
    let root = SubmitTask {
        skill: "plan".to_owned(),
        lineage: Lineage {
            traceparent: Some(given),
            ..Lineage::default()
        },
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&root).await?;
    let task = mesh.admin().wait(&id, cap()).await?;
    let handler: TraceContext = task.result.as_str().unwrap_or_default().parse()?;
    assert_eq!(task.run_traceparent, Some(handler));

    // A span of each task and one of each run.
    let spans = collector.spans(6).await?;
    assert!(spans.iter().all(|s| s.text("traceId") == given.trace_id()));
    let asked = one(&spans, "plan", "seamesh");
    assert_eq!(asked.text("parentSpanId"), given.span_id());
    let run = one(&spans, "plan", "lead");
    assert_eq!(run.text("spanId"), handler.span_id());
    assert_eq!(run.text("parentSpanId"), asked.text("spanId"));
    for (skill, agent, path) in [
        ("near", "near-agent", "direct"),
        ("far", "far-agent", "queue"),
    ] {
        let asked = one(&spans, skill, "lead");
        assert_eq!(asked.text("parentSpanId"), run.text("spanId"), "{skill}");
        assert_eq!(asked.attribute("seamesh.path"), path);
        let ran = one(&spans, skill, agent);
        assert_eq!(ran.text("parentSpanId"), asked.text("spanId"), "{skill}");
        let times = ["startTimeUnixNano", "endTimeUnixNano"].map(|at| ran.text(at).len());
        assert_eq!(times, [19, 19], "nanoseconds of this century");
    }
    Ok(())
}

#[tokio::test]
async fn a_collector_and_a_registry_that_were_away_lose_no_trace() -> Checked {
    // An address that nobody listens on, for now.
    let address = Collector::start(loopback(), "200 OK").await?.address();
    let mut mesh = Mesh::builder()
        .registry_arg("--otlp")
        .registry_arg(format!("http://{address}"))
        .start()
        .await?;
    let _agent = Member::join(&mesh, "one-peer", traced("one", "look")).await?;
    let work = |skill: &str| SubmitTask {
        skill: skill.to_owned(),
        ..SubmitTask::default()
    };
    let id = mesh.admin().submit(&work("look")).await?;
    mesh.admin().wait(&id, cap()).await?;
    mesh.registry.kill().await?;
    mesh.restart_registry().await?;

    let mut collector = Collector::start(address, "200 OK").await?;
    let spans = collector.spans(2).await?;
    for span in &spans {
        assert_eq!(span.attribute("seamesh.task.id"), id.as_str());
        assert_eq!(span.text("traceId"), id.as_str().replace('-', ""));
    }
    Ok(())
}

#[tokio::test]
async fn a_collector_that_refuses_is_told_of_in_the_log_and_the_next_task_goes_on() -> Checked {
    let mut collector = Collector::start(loopback(), "400 Bad Request").await?;
    let mesh = Mesh::builder()
        .registry_arg("--otlp")
        .registry_arg(collector.url())
        .start()
        .await?;
    let _agent = Member::join(&mesh, "one-peer", traced("one", "look")).await?;
    for _ in 0..2 {
        let work = SubmitTask {
            skill: "look".to_owned(),
            ..SubmitTask::default()
        };
        let id = mesh.admin().submit(&work).await?;
        mesh.admin().wait(&id, cap()).await?;
        let spans = collector.spans(2).await?;
        assert!(
            spans
                .iter()
                .all(|s| s.attribute("seamesh.task.id") == id.as_str())
        );
        let head = collector.request().await?;
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    }
    assert!(mesh.registry.log().contains("the collector refuses spans"));
    Ok(())
}
