//! The wire of seamesh: messages of every channel, ids, error codes, limits and the seam ledger.
