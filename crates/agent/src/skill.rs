//! A skill: a typed async function, behind a type that all skills share.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::JsonSchema;
use seamesh_proto::limits::{MAX_CALLERS, MAX_PAYLOAD_BYTES};
use seamesh_proto::{AgentId, Code, Outcome, Payload, SkillInfo};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ctx::Ctx;
use crate::error::{AgentError, SkillError};

type Run = dyn Fn(Ctx, Payload) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync;

/// What reads prompts: the text in, the answer out.
pub(crate) type PromptHandler = dyn Fn(Ctx, String) -> Pin<Box<dyn Future<Output = Result<Value, SkillError>> + Send>>
    + Send
    + Sync;

/// A prompt.
#[derive(serde::Deserialize, JsonSchema)]
struct Prompted {
    /// The text.
    message: String,
}

/// One skill of an agent.
pub(crate) struct Skill {
    pub(crate) info: SkillInfo,
    /// The agents that may call it, as the user wrote them; `None`: everybody.
    pub(crate) callers: Option<Vec<String>>,
    run: Box<Run>,
}

impl Skill {
    pub(crate) fn new<A, T, E, F, R>(name: &str, handler: F) -> Self
    where
        A: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize,
        E: Into<SkillError>,
        F: Fn(Ctx, A) -> R + Send + Sync + 'static,
        R: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut schema = schemars::schema_for!(A).to_value();
        // The arguments' doc comment is the best description there is, until the agent gives another.
        let described = schema.as_object_mut().and_then(|s| s.remove("description"));
        let info = SkillInfo {
            name: name.to_owned(),
            description: described
                .and_then(|d| d.as_str().map(str::to_owned))
                .unwrap_or_default(),
            input_schema: Some(schema),
            callers: None,
        };
        let run =
            move |ctx: Ctx, payload: Payload| -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
                match arguments::<A>(payload) {
                    Err(error) => Box::pin(std::future::ready(failed(error))),
                    Ok(args) => {
                        let work = handler(ctx, args);
                        Box::pin(async move { outcome(work.await.map_err(Into::into)) })
                    }
                }
            };
        Self {
            info,
            callers: None,
            run: Box::new(run),
        }
    }

    /// A skill that reads prompts: its only argument is `message`, and whatever else a prompt carries is left out.
    pub(crate) fn of_prompts(name: &str, description: &str, handler: Arc<PromptHandler>) -> Self {
        let mut skill = Self::new(name, move |ctx, prompted: Prompted| {
            handler(ctx, prompted.message)
        });
        skill.info.description = description.to_owned();
        let run = skill.run;
        // Old clients send the text alone.
        skill.run = Box::new(move |ctx, payload: Payload| match payload.to_value() {
            Value::String(text) => run(ctx, Payload::new(serde_json::json!({ "message": text }))),
            _ => run(ctx, payload),
        });
        skill
    }

    /// The skill as the mesh is told of it.
    pub(crate) fn told(&self) -> Result<SkillInfo, AgentError> {
        let mut info = self.info.clone();
        let Some(named) = &self.callers else {
            return Ok(info);
        };
        if named.len() > MAX_CALLERS {
            return Err(AgentError::TooManyCallers(info.name));
        }
        let parse = |name: &String| {
            name.parse::<AgentId>()
                .map_err(|error| AgentError::BadName {
                    name: name.clone(),
                    error,
                })
        };
        info.callers = Some(named.iter().map(parse).collect::<Result<_, _>>()?);
        Ok(info)
    }

    /// Runs it once; how it ended is the output, whatever happens but a panic.
    pub(crate) fn run(
        &self,
        ctx: Ctx,
        payload: Payload,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send>> {
        (self.run)(ctx, payload)
    }
}

fn arguments<A: DeserializeOwned>(payload: Payload) -> Result<A, SkillError> {
    let empty = payload.is_empty();
    match serde_json::from_value(payload.into_value()) {
        Ok(args) => Ok(args),
        // No payload stands for "nothing" too: `()` and `Option` take null, not {}.
        Err(_) if empty && serde_json::from_value::<A>(Value::Null).is_ok() => {
            serde_json::from_value(Value::Null).map_err(|e| bad_arguments(&e))
        }
        Err(error) => Err(bad_arguments(&error)),
    }
}

fn bad_arguments(error: &serde_json::Error) -> SkillError {
    SkillError::with_code(
        Code::BadArguments,
        format!("the arguments do not fit: {error}"),
    )
}

fn failed(error: SkillError) -> Outcome {
    Outcome::failed(error.code, error.message)
}

fn outcome<T: Serialize>(result: Result<T, SkillError>) -> Outcome {
    let value = match result {
        Ok(value) => value,
        Err(error) => return failed(error),
    };
    let value = match serde_json::to_value(value) {
        Ok(value) => value,
        Err(error) => {
            return Outcome::failed(Code::BadResult, format!("the result is no JSON: {error}"));
        }
    };
    match serialized_bytes(&value) {
        bytes if bytes > MAX_PAYLOAD_BYTES => Outcome::failed(
            Code::TooLarge,
            format!("a result of {bytes} bytes; at most {MAX_PAYLOAD_BYTES} are allowed"),
        ),
        _ => Outcome::completed(value),
    }
}

/// The length of a value as JSON, without writing it down.
pub(crate) fn serialized_bytes(value: &impl Serialize) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // What cannot be serialised is reported where it is sent, with the reason.
    let _ = serde_json::to_writer(&mut count, value);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Adds two numbers.
    #[derive(serde::Deserialize, JsonSchema)]
    struct Add {
        a: i64,
        #[serde(default)]
        b: i64,
    }

    #[test]
    fn the_schema_and_description_come_from_the_arguments_type() {
        let skill = Skill::new("add", |_, args: Add| async move {
            Ok::<_, SkillError>(args.a + args.b)
        });
        assert_eq!(skill.info.description, "Adds two numbers.");
        let schema = skill.info.input_schema.unwrap();
        assert_eq!(schema["properties"]["a"]["type"], "integer");
        assert_eq!(schema["required"], json!(["a"]));
    }

    #[test]
    fn arguments_that_do_not_fit_say_what_is_wrong() {
        let error = arguments::<Add>(Payload::new(json!({"a": "x"})))
            .err()
            .unwrap();
        assert_eq!(error.code, Code::BadArguments);
        assert!(error.message.contains("expected i64"), "{}", error.message);
    }

    #[test]
    fn no_payload_fits_whatever_takes_nothing() {
        assert!(arguments::<()>(Payload::EMPTY).is_ok());
        assert_eq!(arguments::<Option<i64>>(Payload::EMPTY).ok(), Some(None));
        assert!(arguments::<Value>(Payload::EMPTY).is_ok_and(|v| v == json!({})));
        assert!(arguments::<Add>(Payload::EMPTY).is_err());
    }

    #[test]
    fn a_result_that_is_too_large_or_no_json_fails_with_its_code() {
        let large = outcome(Ok("x".repeat(MAX_PAYLOAD_BYTES)));
        assert_eq!(large.error.unwrap().code, Code::TooLarge);
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        assert_eq!(outcome(Ok(keys)).error.unwrap().code, Code::BadResult);
    }
}
