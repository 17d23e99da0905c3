#!/bin/sh
# Healthy is a sidecar that listens on its Unix socket and, given `--agent`, an agent that is connected to it. The
# kernel's list of sockets tells: a connection made to ask would take the agent's place.
# SEAMESH_SOCKET: the socket [default: that of the agent beside this script].
set -eu
here=$(cd "$(dirname "$0")" && pwd)
socket=${SEAMESH_SOCKET:-$here/agent/.seamesh/run/agent.sock}
listens=
connected=
# Num RefCount Protocol Flags Type St Inode Path: flag 00010000 listens, state 03 is connected.
while read -r _ _ _ flags _ state _ path; do
    [ "$path" = "$socket" ] || continue
    [ "$flags" != 00010000 ] || listens=yes
    [ "$state" != 03 ] || connected=yes
done </proc/net/unix
[ -n "$listens" ]
[ "${1-}" != --agent ] || [ -n "$connected" ]
