//! `agent.yaml`, with the address of the registry that it names.

use seamesh_client::RegistryUrl;

/// A manifest that can be used.
pub(crate) type Manifest = seamesh_manifest::Manifest<RegistryUrl>;
