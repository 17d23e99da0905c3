#!/bin/sh
# Starts coturn with the secret that it shares with the registry. The secret goes into a file of this user alone: a
# command line is seen by others.
# SEAMESH_TURN_SECRET: the secret. SEAMESH_TURN_REALM: a name for the log [default: seamesh].
# SEAMESH_TURN_EXTERNAL_IP: the public address, where coturn stands behind a NAT itself.
set -eu
: "${SEAMESH_TURN_SECRET:?is the secret shared with the registry: see deploy/README.md}"
umask 077
config=${TMPDIR:-/tmp}/turnserver.conf
cat >"$config" <<END
listening-port=${SEAMESH_TURN_PORT:-3478}
min-port=49160
max-port=49360
use-auth-secret
static-auth-secret=$SEAMESH_TURN_SECRET
realm=${SEAMESH_TURN_REALM:-seamesh}
fingerprint
stale-nonce=600
no-cli
no-tls
no-dtls
no-multicast-peers
# A relay must not lead into the networks of its own host.
denied-peer-ip=0.0.0.0-0.255.255.255
denied-peer-ip=10.0.0.0-10.255.255.255
denied-peer-ip=169.254.0.0-169.254.255.255
denied-peer-ip=172.16.0.0-172.31.255.255
denied-peer-ip=192.168.0.0-192.168.255.255
log-file=stdout
simple-log
END
if [ -n "${SEAMESH_TURN_EXTERNAL_IP:-}" ]; then
    echo "external-ip=$SEAMESH_TURN_EXTERNAL_IP" >>"$config"
fi
unset SEAMESH_TURN_SECRET
exec turnserver -c "$config" "$@"
