//! How a test ends: well, or with a panic where it went wrong.

/// What an end-to-end test returns.
pub type Checked = Result<(), Failure>;

/// Never exists: an error that becomes one panics, at the `?` it happened at and while the test's mesh is still there to
/// print its logs.
#[derive(Debug)]
pub enum Failure {}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        panic!("{:?}", error.into());
    }
}
