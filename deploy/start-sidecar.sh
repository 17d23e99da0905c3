#!/bin/sh
# Starts a sidecar for an agent in another container; arguments go on to `seamesh sidecar`. At its first start it joins.
# SEAMESH_REGISTRY: the registry's address. SEAMESH_AGENT_NAME: the agent's name. SEAMESH_INVITE: as for an agent.
# SEAMESH_DATA: where its credential is kept. SEAMESH_SOCKET: the Unix socket, in a directory that the agent sees too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${SEAMESH_REGISTRY:?names the registry, like http://registry:8080}"
: "${SEAMESH_AGENT_NAME:?is the name of the agent that this sidecar serves}"
: "${SEAMESH_DATA:?names the directory for the credential}"
: "${SEAMESH_SOCKET:?names the Unix socket for the agent}"
umask 077
mkdir -p "$SEAMESH_DATA"
cd "$SEAMESH_DATA"
if [ -z "${SEAMESH_API_KEY:-}${SEAMESH_DEVICE_TOKEN:-}" ]; then
    if [ ! -e credentials.json ]; then
        if [ -z "${SEAMESH_INVITE:-}" ]; then
            echo "start-sidecar.sh: this sidecar has not joined yet: set SEAMESH_INVITE to what \`seamesh invite --join-token\` prints" >&2
            exit 1
        fi
        printf 'name: "%s"\ndata_dir: "."\nrun: ["true"]\n' "$SEAMESH_AGENT_NAME" >agent.yaml
        "$here/bin/seamesh" pair
    fi
    # The one token of this directory's one mesh.
    SEAMESH_DEVICE_TOKEN=$(sed -n 's/.*"\(dt_[^"]*\)".*/\1/p' credentials.json)
    SEAMESH_IDENTITY=$SEAMESH_DATA/identity.json
    export SEAMESH_DEVICE_TOKEN SEAMESH_IDENTITY
fi
unset SEAMESH_INVITE
exec "$here/bin/seamesh" sidecar "$@"
