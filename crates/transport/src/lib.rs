//! WebRTC DataChannel links over one UDP socket, sans-IO: datagrams, commands and time in; datagrams, events and deadlines out.
