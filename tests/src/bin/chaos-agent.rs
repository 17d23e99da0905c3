//! An agent that writes down what its handlers do, one fact of a history a line, before and after they do it. It is
//! killed at any moment, so each line is one append.
//!
//! `chaos-agent NAME LOG GRACE_MS`
//!
//! `work` works, `ask` has somebody work; `pour` works in chunks and asks a question, `follow` has somebody pour, answers,
//! and looks at every chunk. `agent.py` of the chaos test is the same in Python.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use seamesh_agent::{Agent, Ctx, Part, SkillError};
use seamesh_proto::TaskState;
use seamesh_sim::history::{Fact, Refused, Run, Submitted, Told, What};
use seamesh_tests::{BROKEN_STREAM, CHUNKS};
use serde::Deserialize;
use serde_json::{Value, json};

/// Works for a while.
#[derive(Deserialize, JsonSchema)]
struct Work {
    /// Milliseconds it takes.
    ms: u64,
    /// What it answers.
    n: u64,
}

/// Longest that what was poured is followed: a handler whose asker died is not waited for to the end of its days.
const FOLLOW: Duration = Duration::from_secs(10);

/// The log, and who writes it.
#[derive(Clone)]
struct Witness {
    log: Arc<File>,
    agent: String,
}

/// Says that nobody waits for a request any more, when it is dropped before the request's end.
struct Asking<'a> {
    witness: &'a Witness,
    request: String,
    is_over: bool,
}

impl Witness {
    fn saw(&self, what: What) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // The machine's clock stands after 1970.
        let at_ms = now.expect("a clock").as_millis() as u64;
        let mut line = serde_json::to_vec(&Fact { at_ms, what }).expect("facts serialise");
        line.push(b'\n');
        // An observation that cannot be written must not be acted on.
        (&*self.log).write_all(&line).expect("the log takes a line");
    }

    fn run(&self, ctx: &Ctx) -> Run {
        Run {
            task: ctx.task_id().clone(),
            attempt: ctx.attempt(),
            agent: self.agent.parse().expect("a valid name"),
            incarnation: u64::from(std::process::id()),
        }
    }

    async fn work(self, ctx: Ctx, work: Work) -> Result<u64, SkillError> {
        self.saw(What::Started(self.run(&ctx)));
        // tidy-allow: the work that a handler does takes its time
        tokio::time::sleep(Duration::from_millis(work.ms)).await;
        self.saw(What::Finished(self.run(&ctx)));
        Ok(work.n)
    }

    /// Works in chunks, and answers what the asker says in the end.
    async fn pour(self, ctx: Ctx, work: Work) -> Result<Value, SkillError> {
        self.saw(What::Started(self.run(&ctx)));
        for n in 0..CHUNKS {
            ctx.chunk(n).await?;
            // tidy-allow: the work that a handler does takes its time
            tokio::time::sleep(Duration::from_millis(work.ms / CHUNKS)).await;
        }
        let answer = ctx.ask("which one?").await?;
        self.saw(What::Finished(self.run(&ctx)));
        Ok(answer)
    }

    /// Has somebody pour, and takes every chunk once and in order.
    async fn follow(self, ctx: Ctx, work: Work) -> Result<u64, SkillError> {
        self.saw(What::Started(self.run(&ctx)));
        let n = work.n;
        let asked = ctx.delegate("pour", json!({ "ms": work.ms, "n": n }));
        let asked = asked.on_question(move |_| async move { Ok(json!(n)) });
        let mut stream = asked.timeout(FOLLOW).stream().await?;
        let mut chunks = Vec::new();
        while let Some(part) = stream.next().await {
            match part? {
                Part::Chunk(chunk) => chunks.push(chunk),
                // Another attempt pours from the start.
                Part::Restarted => chunks.clear(),
                Part::Artifact(_) | Part::Progress(_) => {}
            }
        }
        let answer = stream.reply().await?.result;
        let expected: Vec<Value> = (0..CHUNKS).map(Value::from).collect();
        if chunks != expected || answer != n {
            return Err(SkillError::new(format!(
                "{BROKEN_STREAM}: {chunks:?} {answer}"
            )));
        }
        self.saw(What::Finished(self.run(&ctx)));
        Ok(n)
    }

    /// Has somebody do the work.
    async fn ask(self, ctx: Ctx, work: Work) -> Result<u64, SkillError> {
        self.saw(What::Started(self.run(&ctx)));
        let pid = std::process::id();
        let request = format!("{pid}/{}/{}", ctx.task_id(), ctx.attempt());
        self.saw(What::Submitted(Submitted {
            request: request.clone(),
            key: None,
            digest: format!("{}/{}", work.ms, work.n),
        }));
        let mut asking = Asking {
            witness: &self,
            request: request.clone(),
            is_over: false,
        };
        let reply = ctx
            .delegate("work", json!({ "ms": work.ms, "n": work.n }))
            .reply()
            .await;
        asking.is_over = true;
        match &reply {
            Ok(reply) => self.saw(What::Told(Told {
                request,
                task: Some(reply.task_id.clone()),
                state: TaskState::Completed,
                code: None,
            })),
            Err(error) => self.saw(What::Refused(Refused {
                request,
                code: Some(error.code),
            })),
        }
        self.saw(What::Finished(self.run(&ctx)));
        let n = reply?.result.as_u64();
        n.ok_or_else(|| SkillError::new("the answer is no number"))
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let request = std::mem::take(&mut self.request);
            self.witness.saw(What::SenderGone { request });
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let agent = arguments.next().context("a name")?;
    let log = arguments.next().context("a log file")?;
    let grace_ms = arguments.next().context("a grace")?.parse()?;
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    let log = Arc::new(log);
    let witness = Witness {
        log,
        agent: agent.clone(),
    };
    let (working, asking, holding) = (witness.clone(), witness.clone(), witness.clone());
    let (pouring, following) = (witness.clone(), witness);
    Agent::new(agent)
        .stop_grace(Duration::from_millis(grace_ms))
        .skill("work", move |ctx, work: Work| {
            working.clone().work(ctx, work)
        })
        .skill("hold", move |ctx, work: Work| {
            holding.clone().work(ctx, work)
        })
        .skill("ask", move |ctx, work: Work| asking.clone().ask(ctx, work))
        .skill("pour", move |ctx, work: Work| {
            pouring.clone().pour(ctx, work)
        })
        .skill("follow", move |ctx, work: Work| {
            following.clone().follow(ctx, work)
        })
        .run_from_env()
        .await?;
    Ok(())
}
