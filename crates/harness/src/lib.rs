//! Starts real seamesh processes for tests: temp dir, port 0, readiness line, kill, pause, restart, logs kept on failure.
