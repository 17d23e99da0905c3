//! The administrator's password: kept as an Argon2id hash (RFC 9106), compared off the runtime's threads.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use seamesh_proto::limits::{MAX_PASSWORD_BYTES, MIN_PASSWORD_BYTES};
use seamesh_proto::{Code, Problem};
use tokio::sync::Semaphore;

use crate::secret;

/// Id of the credential in sessions that came from the password.
pub(crate) const PASSWORD_CREDENTIAL: &str = "password";

/// Memory of one hash, in KiB: 19 MiB, the first choice of OWASP's password storage cheat sheet for Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;

/// Passes over it.
const PASSES: u32 = 2;

/// Hashes at once: bounds the memory that logins take.
const MAX_AT_ONCE: usize = 2;

/// What is kept of a password. What it was made with is kept with it: a later registry may choose otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Password {
    /// Random, its own.
    pub salt: [u8; 32],
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// The Argon2id hash.
    pub hash: [u8; 32],
}

impl Password {
    /// Takes tens of milliseconds.
    fn make(text: &str) -> Option<Self> {
        let salt = secret::random_bytes().ok()?;
        let (memory_kib, passes) = (MEMORY_KIB, PASSES);
        let hash = hash(text, &salt, memory_kib, passes)?;
        Some(Self {
            salt,
            memory_kib,
            passes,
            hash,
        })
    }

    /// Takes tens of milliseconds.
    fn is(&self, text: &str) -> bool {
        let Some(hash) = hash(text, &self.salt, self.memory_kib, self.passes) else {
            return false;
        };
        // No early end: how long it takes says nothing of where the two differ.
        let pairs = hash.iter().zip(&self.hash);
        pairs.fold(0, |all, (a, b)| all | (a ^ b)) == 0
    }
}

fn hash(text: &str, salt: &[u8], memory_kib: u32, passes: u32) -> Option<[u8; 32]> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).ok()?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut memory = vec![Block::default(); argon2.params().block_count()];
    let mut out = [0; 32];
    let text = text.as_bytes();
    let hashed = argon2.hash_password_into_with_memory(text, salt, &mut out, &mut memory);
    hashed.ok().map(|()| out)
}

/// The administrator's password, if one was set.
pub(crate) struct PasswordGate {
    kept: Mutex<Option<Arc<Password>>>,
    places: Arc<Semaphore>,
}

impl PasswordGate {
    /// A gate with what the store has.
    pub(crate) fn new(kept: Option<Password>) -> Self {
        Self {
            kept: Mutex::new(kept.map(Arc::new)),
            places: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// Whether there is a password.
    pub(crate) fn is_set(&self) -> bool {
        self.lock().is_some()
    }

    /// Takes a password that the store has.
    pub(crate) fn set(&self, password: Password) {
        *self.lock() = Some(Arc::new(password));
    }

    /// Makes what is kept of a password.
    ///
    /// # Errors
    /// `bad_field` for one that is too short or too long.
    pub(crate) async fn make(&self, text: String) -> Result<Password, Problem> {
        if !(MIN_PASSWORD_BYTES..=MAX_PASSWORD_BYTES).contains(&text.len()) {
            let detail =
                format!("password: {MIN_PASSWORD_BYTES} to {MAX_PASSWORD_BYTES} bytes are taken");
            return Err(Problem::new(Code::BadField, detail));
        }
        let made = self.off_thread(move || Password::make(&text)).await;
        made.flatten()
            .ok_or_else(|| Problem::new(Code::Internal, "the password could not be hashed"))
    }

    /// Whether it is the password. As slow as a hash.
    pub(crate) async fn is(&self, text: String) -> bool {
        let Some(kept) = self.lock().clone() else {
            return false;
        };
        if text.len() > MAX_PASSWORD_BYTES {
            return false;
        }
        let is = self.off_thread(move || kept.is(&text)).await;
        is.unwrap_or(false)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let place = self.places.clone().acquire_owned().await.ok()?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            // Who asked may be gone; its place is taken until the work is done.
            drop(place);
            result
        });
        worked.await.ok()
    }

    // No panic can happen while the lock is held.
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Password>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9106 has no vector without secret and associated data; this one was made by the reference implementation's
    /// Python binding (`argon2-cffi`): salt of 32 bytes `s`, 64 KiB, 2 passes, 1 lane, version 19.
    #[test]
    fn the_hash_is_argon2id() {
        let hash = hash("correct horse", &[b's'; 32], 64, 2).unwrap();
        let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "682e3c3e556ac4a79e5d71b26c63563790d6659a71638ceccdec719a6adc5f5c"
        );
    }

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_another_is_not() {
        let gate = PasswordGate::new(None);
        assert!(!gate.is("correct horse".into()).await);
        let kept = gate.make("correct horse".into()).await.unwrap();
        gate.set(kept);
        assert!(gate.is("correct horse".into()).await);
        assert!(!gate.is("correct horsf".into()).await);
        assert!(gate.make("short".into()).await.is_err());
    }
}
