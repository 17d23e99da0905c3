#!/bin/sh
# One build step of an image. The Dockerfiles run these, and so does a test, on a machine without Docker.
#
#   build.sh hub OUT                     the dashboard's files
#   build.sh programs OUT                the release programs: seamesh (with the dashboard in it) and librarian
#   build.sh python OUT                  the Python SDK and what it needs
#   build.sh registry OUT PROGRAMS       what the registry's image holds under /opt/seamesh
#   build.sh sidecar OUT PROGRAMS        the same of the sidecar's image
#   build.sh agent OUT PROGRAMS AGENT    the same of an agent's; AGENT is the directory of its agent.yaml
#
# Why it is a script: docs/adr/0022.
# PROGRAMS is a directory with programs that are built already. PYTHON names the interpreter (default: python3).
set -eu

usage() {
    sed -n '4,11s/^# *//p' "$0" >&2
    exit 2
}

# Programs and scripts of one image; the arguments name them.
lay_out() {
    mkdir -p "$out/bin"
    for program in $wanted; do
        # An agent in Python needs no librarian.
        [ "$program" != librarian ] || [ -e "$programs/librarian" ] || continue
        install -m 0755 "$programs/$program" "$out/bin/$program"
    done
    for script in "$@"; do
        install -m 0755 "$deploy/$script" "$out/$script"
    done
}

[ $# -ge 2 ] || usage
part=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
programs=${3-}
agent=${4-}
deploy=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$deploy")

case $part in
registry | sidecar | agent)
    if [ ! -x "$programs/seamesh" ]; then
        echo "build.sh: no program \`seamesh\` in \`$programs\`: make it with \`build.sh programs DIR\`" >&2
        exit 1
    fi
    ;;
esac

case $part in
hub)
    cd "$root/hub"
    # Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms.
    npm install --no-save --no-audit --no-fund --loglevel=error
    npm run --silent build
    [ "$out" = "$root/hub/dist" ] || cp -R dist/. "$out"
    ;;
programs)
    if [ ! -f "$root/hub/dist/index.html" ]; then
        echo "build.sh: hub/dist is empty, the registry would have no dashboard: run \`build.sh hub hub/dist\` first" >&2
        exit 1
    fi
    cd "$root"
    cargo build --locked --release --package seamesh --package librarian
    target=${CARGO_TARGET_DIR:-target}
    install -m 0755 "$target/release/seamesh" "$target/release/librarian" "$out"
    ;;
python)
    "${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check --no-compile \
        --require-hashes --requirement "$root/python/requirements.txt" --target "$out"
    # The SDK is plain Python: its files are all there is to install, and no build tool is fetched for it.
    cp -R "$root/python/src/seamesh" "$out"
    find "$out" -name __pycache__ -prune -exec rm -rf {} +
    chmod -R a+rX "$out"
    ;;
registry)
    wanted=seamesh
    lay_out start-registry.sh
    ;;
sidecar)
    wanted=seamesh
    lay_out start-sidecar.sh health-sidecar.sh
    ;;
agent)
    if [ ! -f "$agent/agent.yaml" ]; then
        echo "build.sh: no agent.yaml in \`$agent\`: name the agent's directory" >&2
        exit 1
    fi
    wanted="seamesh librarian"
    lay_out start-agent.sh health-sidecar.sh
    mkdir -p "$out/agent"
    cp -R "$agent/." "$out/agent"
    # What was there when somebody ran it: keys of this machine, and settings that may be secret.
    rm -rf "$out/agent/.seamesh" "$out/agent/.env"
    find "$out/agent" -name __pycache__ -prune -exec rm -rf {} +
    # The image's user is not who checked it out.
    chmod -R a+rX "$out/agent"
    ;;
*)
    usage
    ;;
esac
