#!/bin/sh
# Starts the registry; arguments go on to `seamesh registry`.
# SEAMESH_DATA: its data directory, with the database and the keys. SEAMESH_LISTEN: address and port.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
: "${SEAMESH_DATA:?names the directory for the database and the keys}"
umask 077
exec "$here/bin/seamesh" registry "$@"
