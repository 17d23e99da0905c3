#!/bin/sh
# Starts an agent with its sidecar; arguments go on to `seamesh run`. At its first start it joins the mesh.
# SEAMESH_REGISTRY: the registry's address. SEAMESH_INVITE: an invite or a join token, for the first start only.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${SEAMESH_REGISTRY:?names the registry, like http://registry:8080}"
umask 077
PATH=$here/bin:$PATH
PYTHONPATH=$here/python${PYTHONPATH:+:$PYTHONPATH}
export PATH PYTHONPATH PYTHONDONTWRITEBYTECODE=1
cd "$here/agent"
if [ ! -e .seamesh/credentials.json ] && [ -z "${SEAMESH_API_KEY:-}" ]; then
    if [ -z "${SEAMESH_INVITE:-}" ]; then
        echo "start-agent.sh: this agent has not joined yet: set SEAMESH_INVITE to what \`seamesh invite --join-token\` prints" >&2
        exit 1
    fi
    # It takes the code from the environment: a command line is seen by others.
    seamesh pair
fi
unset SEAMESH_INVITE
exec seamesh run "$here/agent/agent.yaml" "$@"
