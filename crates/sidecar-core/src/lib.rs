//! Pure rules of the sidecar: peers, glare, backoff, requests, dedup, queues.
