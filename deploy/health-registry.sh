#!/bin/bash
# Asks the registry for GET /healthz. Bash opens the connection, so that the image needs no HTTP client.
# SEAMESH_LISTEN: what the registry listens on; every address (0.0.0.0, [::]) is asked on loopback.
set -eu
host=${SEAMESH_LISTEN%:*}
port=${SEAMESH_LISTEN##*:}
host=${host#[}
host=${host%]}
case $host in
0.0.0.0) host=127.0.0.1 ;;
::) host=::1 ;;
esac
exec 3<>"/dev/tcp/$host/$port"
printf 'GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host:$port" >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
