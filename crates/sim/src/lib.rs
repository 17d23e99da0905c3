//! Drives the registry's and the sidecars' cores together in virtual time.
