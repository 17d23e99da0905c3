//! Typed client of the registry's HTTP and WebSocket API.
