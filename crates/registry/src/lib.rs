//! The registry's shell: HTTP, WebSocket, store, event stream, embedded hub.
