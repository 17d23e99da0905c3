//! What a running handler and whoever asked for its work say to each other before the result: how far it is, parts of
//! the result, questions and their answers. The same on every channel and on both paths.
//!
//! Parts flow under a window of their own: at most [`STREAM_WINDOW`](crate::limits::STREAM_WINDOW) are under way, and
//! each is kept by the sidecar of the handler until the asker says that it took it. So a slow reader slows down the one
//! stream it reads, and a part survives a link or a socket that goes away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::limits::{
    MAX_ARTIFACT_BYTES, MAX_CHUNK_BYTES, MAX_NAME_BYTES, MAX_NOTE_BYTES, MAX_QUESTION_BYTES,
};
use crate::payload::Raw;
use crate::problem::{Code, Problem};

/// What a handler tells: exactly one of these members is there.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct News {
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// A part of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk: Option<Chunk>,
    /// It needs an answer to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
}

/// How far a handler is. A newer one replaces an older one: of many in a short time only the newest is carried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Share of the work that is done, 0 to 1; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// What it does, for a person; at most [`MAX_NOTE_BYTES`].
    #[serde(default)]
    pub note: String,
}

/// One part of what a handler streams.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chunk {
    /// Its number within the attempt, from 0, without gaps.
    pub index: u64,
    /// The part: any JSON of at most [`MAX_CHUNK_BYTES`]; of an artifact, its bytes in base64 (RFC 4648 section 4).
    #[serde(default)]
    pub data: Value,
    /// The artifact it is a part of; absent: the stream itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<ArtifactPart>,
    /// Nothing comes after it. It carries no data.
    #[serde(default)]
    pub last: bool,
}

/// Where a chunk belongs in an artifact. The parts of one artifact follow each other without anything between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactPart {
    /// The artifact's name, unique within the attempt; at most [`MAX_NAME_BYTES`].
    pub name: String,
    /// Its media type (RFC 6838).
    pub media_type: String,
    /// Its length in bytes, at most [`MAX_ARTIFACT_BYTES`].
    pub size: u64,
    /// SHA-256 of all of it, in lower-case hexadecimal.
    pub sha256: String,
    /// Where this part begins, in bytes.
    pub offset: u64,
}

/// A question of a handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// Its number within the attempt, from 1.
    pub number: u32,
    /// What is asked, for a person.
    pub prompt: String,
    /// JSON Schema of the answer; absent: anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

/// What the asker tells the handler: exactly one of these members is there.
#[derive(Clone, Debug, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskInput {
    /// The answer to a question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Every chunk with a smaller number was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taken: Option<u64>,
    /// With `taken`: everything from there on is wanted once more, because some of it may have been lost.
    #[serde(skip_serializing_if = "is_false")]
    pub again: bool,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// The question's number.
    pub number: u32,
    /// The answer: any JSON, at most [`MAX_QUESTION_BYTES`].
    #[serde(default)]
    pub value: Value,
}

/// What an asker is there for while the work goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Listens {
    /// It takes chunks. Without it a handler that sends some is told so.
    #[serde(skip_serializing_if = "is_false")]
    pub stream: bool,
    /// It answers questions. Without it those of queued work wait for a person.
    #[serde(skip_serializing_if = "is_false")]
    pub answers: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference in"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(Code::BadField, detail)
}

fn within(what: &str, bytes: usize, most: usize) -> Result<(), Problem> {
    if bytes <= most {
        return Ok(());
    }
    let detail = format!("{what} has {bytes} bytes; at most {most} are carried");
    Err(Problem::new(Code::TooLarge, detail))
}

impl News {
    /// Checks it against its limits.
    ///
    /// # Errors
    /// `bad_field` or `too_large`, naming the member.
    pub fn check(&self) -> Result<(), Problem> {
        match (&self.progress, &self.chunk, &self.question) {
            (Some(progress), None, None) => {
                if progress.fraction.is_some_and(|f| !(0.0..=1.0).contains(&f)) {
                    return Err(bad("progress.fraction is 0 to 1"));
                }
                within("progress.note", progress.note.len(), MAX_NOTE_BYTES)
            }
            (None, Some(chunk), None) => chunk.check(),
            (None, None, Some(question)) => {
                if question.number == 0 {
                    return Err(bad("question.number counts from 1"));
                }
                let bytes = Raw::of(question).text().len();
                within("question", bytes, MAX_QUESTION_BYTES)
            }
            _ => Err(bad("one of progress, chunk and question")),
        }
    }
}

impl Chunk {
    fn check(&self) -> Result<(), Problem> {
        within(
            "chunk.data",
            Raw::of(&self.data).text().len(),
            MAX_CHUNK_BYTES,
        )?;
        let Some(part) = &self.artifact else {
            return Ok(());
        };
        if part.name.is_empty() {
            return Err(bad("chunk.artifact.name: an artifact needs a name"));
        }
        within("chunk.artifact.name", part.name.len(), MAX_NAME_BYTES)?;
        within(
            "chunk.artifact.media_type",
            part.media_type.len(),
            MAX_NAME_BYTES,
        )?;
        if part.size > MAX_ARTIFACT_BYTES {
            let detail = format!(
                "artifact {} has {} bytes; at most {MAX_ARTIFACT_BYTES} are carried",
                part.name, part.size
            );
            return Err(Problem::new(Code::TooLarge, detail));
        }
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if part.sha256.len() != 64 || !part.sha256.bytes().all(is_hex) {
            return Err(bad(
                "chunk.artifact.sha256: 64 lower-case hexadecimal digits",
            ));
        }
        if part.offset > part.size {
            return Err(bad("chunk.artifact.offset lies behind its end"));
        }
        Ok(())
    }
}

impl TaskInput {
    /// Checks it against its limits.
    ///
    /// # Errors
    /// `bad_field` or `too_large`, naming the member.
    pub fn check(&self) -> Result<(), Problem> {
        match (&self.answer, self.taken) {
            (Some(answer), None) if !self.again => {
                let bytes = Raw::of(&answer.value).text().len();
                within("answer.value", bytes, MAX_QUESTION_BYTES)
            }
            (None, Some(_)) => Ok(()),
            _ => Err(bad("one of answer and taken, and again only with taken")),
        }
    }
}
