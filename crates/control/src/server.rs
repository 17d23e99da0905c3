//! The process's end.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

use crate::{Answer, Command, MAX_LINE};

/// Commands that wait for the process: a test gives one at a time.
const WAITING: usize = 16;

/// Why the socket cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Other users could reach it.
    #[error("{0} is open to other users: give --test-control a socket in a directory of mode 0700")]
    NotPrivate(PathBuf),
    /// The system refuses.
    #[error("cannot serve the test control socket {path}: {source}")]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The socket, served. Its file goes away with it.
#[derive(Debug)]
pub struct Control {
    commands: mpsc::Receiver<Asked>,
    path: PathBuf,
}

/// A command, and the way to whoever waits for it.
#[derive(Debug)]
pub struct Asked {
    /// What to do.
    pub command: Command,
    answer: oneshot::Sender<Answer>,
}

impl Asked {
    /// It was done.
    pub fn done(self) {
        self.end(None);
    }

    /// It cannot be done here.
    pub fn refuse(self, why: impl Into<String>) {
        self.end(Some(why.into()));
    }

    fn end(self, error: Option<String>) {
        let ok = error.is_none();
        // Who went away is not told.
        let _ = self.answer.send(Answer { ok, error });
    }
}

impl Control {
    /// Serves the socket, in a directory that is made (0700) when it is missing. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Socket {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(failed)?;
            if fs::metadata(directory).map_err(failed)?.mode() & 0o077 != 0 {
                return Err(BindError::NotPrivate(directory.to_owned()));
            }
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let (sender, commands) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, sender.clone()));
            }
        });
        tracing::warn!(path = %path.display(), "tests control this process: its clock and links are not real");
        Ok(Self {
            commands,
            path: path.to_owned(),
        })
    }

    /// The next command. Cancel-safe.
    pub async fn next(&mut self) -> Option<Asked> {
        self.commands.recv().await
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // If it is gone already, that is what is wanted.
        let _ = fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, commands: mpsc::Sender<Asked>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        match (&mut reader).take(MAX_LINE).read_line(&mut line).await {
            Ok(length) if length > 0 => {}
            _ => return,
        }
        let Some(answer) = answer(&line, &commands).await else {
            return;
        };
        let mut text = serde_json::to_string(&answer).unwrap_or_default();
        text.push('\n');
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a line is answered with; `None` when the process ends.
async fn answer(line: &str, commands: &mpsc::Sender<Asked>) -> Option<Answer> {
    let parsed = serde_json::from_str::<Command>(line).map_err(|error| error.to_string());
    let command = match parsed.and_then(|command| command.check().map(|()| command)) {
        Ok(command) => command,
        Err(error) => {
            return Some(Answer {
                ok: false,
                error: Some(error),
            });
        }
    };
    let (answer, answered) = oneshot::channel();
    commands.send(Asked { command, answer }).await.ok()?;
    answered.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Client;

    #[tokio::test]
    async fn a_command_is_answered_when_it_is_done_and_a_refusal_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("private/control.sock");
        let mut control = Control::bind(&path).unwrap();
        let serving = async {
            let first = control.next().await.unwrap();
            assert_eq!(first.command, Command::Advance { ms: 7 });
            first.done();
            control.next().await.unwrap().refuse("no links here");
            control
        };
        let asking = async {
            let mut client = Client::open(&path).await.unwrap();
            client.ask(&Command::Advance { ms: 7 }).await.unwrap();
            let refused = client.ask(&Command::CutRegistry {}).await.unwrap_err();
            assert!(refused.to_string().contains("no links here"), "{refused}");
        };
        let (control, ()) = tokio::join!(serving, asking);
        drop(control);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_command_is_refused_without_asking_the_process() {
        let (commands, mut asked) = mpsc::channel(1);
        for line in [
            "{",
            "{\"command\":\"explode\"}",
            "{\"command\":\"advance\"}",
            "{\"command\":\"advance\",\"ms\":-1}",
            "{\"command\":\"advance\",\"ms\":99999999999999}",
            "{\"command\":\"delay\",\"peer\":\"p\",\"ms\":60001}",
            "{\"command\":\"cut\",\"peer\":\"two words\"}",
        ] {
            let answer = answer(line, &commands).await.unwrap();
            assert!(!answer.ok && answer.error.is_some(), "{line}");
            assert!(asked.try_recv().is_err(), "{line}");
        }
    }

    #[tokio::test]
    async fn a_directory_that_others_can_enter_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).unwrap();
        let refused = Control::bind(&open.join("s"));
        assert!(matches!(refused, Err(BindError::NotPrivate(_))));
    }
}
