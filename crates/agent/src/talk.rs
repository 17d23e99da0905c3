//! What a running skill says to its asker before its result, and what it hears from it.

use std::collections::VecDeque;
use std::sync::Arc;

use seamesh_proto::Code;
use seamesh_proto::limits::STREAM_WINDOW;
use seamesh_proto::talk::{ArtifactPart, Chunk, News, Question, TaskInput};
use serde_json::Value;
use tokio::sync::{Notify, oneshot};

use crate::error::MeshError;

/// One running skill's side of the conversation. It outlives connections: what was not heard is said again.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    next: u64,
    taken: u64,
    /// Chunks that the asker has not taken.
    unheard: VecDeque<Chunk>,
    asked: u32,
    question: Option<(Question, oneshot::Sender<Value>)>,
    /// The asker took something.
    pub(crate) moved: Arc<Notify>,
}

impl Speech {
    /// Whether the window has room for another chunk.
    pub(crate) fn has_room(&self) -> bool {
        self.next - self.taken < STREAM_WINDOW
    }

    /// Adds a chunk; the news that carry it.
    pub(crate) fn chunk(&mut self, data: Value, artifact: Option<ArtifactPart>) -> News {
        self.push(Chunk {
            index: self.next,
            data,
            artifact,
            last: false,
        })
    }

    /// Ends the stream: all that was not taken, and last its end.
    pub(crate) fn into_end(mut self) -> Vec<News> {
        self.push(Chunk {
            index: self.next,
            data: Value::Null,
            artifact: None,
            last: true,
        });
        self.unheard.into_iter().map(chunk_news).collect()
    }

    fn push(&mut self, chunk: Chunk) -> News {
        self.next += 1;
        self.unheard.push_back(chunk.clone());
        chunk_news(chunk)
    }

    /// Asks; the news that carry the question.
    pub(crate) fn ask(
        &mut self,
        prompt: String,
        schema: Option<Value>,
        answer: oneshot::Sender<Value>,
    ) -> News {
        self.asked += 1;
        let question = Question {
            number: self.asked,
            prompt,
            schema,
        };
        self.question = Some((question.clone(), answer));
        question_news(question)
    }

    /// What has to be said again over a new connection.
    pub(crate) fn unheard(&self) -> Vec<News> {
        let chunks = self.unheard.iter().cloned().map(chunk_news);
        let question = self.question.iter().map(|(q, _)| question_news(q.clone()));
        chunks.chain(question).collect()
    }

    /// The asker told something.
    pub(crate) fn hear(&mut self, input: TaskInput) {
        if let Some(taken) = input.taken {
            self.taken = self.taken.max(taken.min(self.next));
            while self
                .unheard
                .front()
                .is_some_and(|chunk| chunk.index < self.taken)
            {
                self.unheard.pop_front();
            }
            self.moved.notify_waiters();
        }
        if let Some(answer) = input.answer
            && let Some((_, asker)) = self.question.take_if(|(q, _)| q.number == answer.number)
        {
            // Whoever asked may have given up.
            let _ = asker.send(answer.value);
        }
    }
}

fn chunk_news(chunk: Chunk) -> News {
    News {
        chunk: Some(chunk),
        ..News::default()
    }
}

fn question_news(question: Question) -> News {
    News {
        question: Some(question),
        ..News::default()
    }
}

pub(crate) fn not_streamed() -> MeshError {
    let text =
        "whoever asked for this work takes no chunks: return the result, or ask with `stream()`";
    MeshError::new(Code::NotStreamed, text)
}

pub(crate) fn nobody_answers() -> MeshError {
    let text = "whoever asked for this work answers no questions: ask with `on_question`, or through the queue, \
                where a person answers";
    MeshError::new(Code::NobodyAnswers, text)
}
