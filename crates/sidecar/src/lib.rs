//! The sidecar's shell: one thread that owns the UDP socket, the signaling WebSocket, the Unix socket and the timers.
