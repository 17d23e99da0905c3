//! Pure rules of the registry: agents, health, tasks, leases, pairing, relay.
