#!/bin/sh
# Submit a task with plain curl, wait for its end, print it. Exit code 0 if it succeeded.
#
#   examples/submit.sh image.thumbnail '{"source": "inputs/coffee.png", "width": 64}'
#
# The gateway is at TASKYARD_API_URL, else at http://127.0.0.1:8000; the API key is in TASKYARD_API_KEY.
set -eu

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: $0 TYPE [ARGS]    ARGS is a JSON object" >&2
    exit 2
fi
api=${TASKYARD_API_URL:-http://127.0.0.1:8000}
type=$1
args=${2:-"{}"}

# curl sends again what timed out, found nobody or was refused with 503, as it stands: with the same
# key, so it is one task, however often it is sent. The key is random: another call, another task.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
body="{\"type\": \"$type\", \"args\": $args}"

ask() {
    curl --silent --show-error --fail-with-body \
        --retry 5 --retry-connrefused --retry-max-time 30 \
        -H "Authorization: Bearer ${TASKYARD_API_KEY:?holds no key; taskyard up puts one into .taskyard/admin-key}" "$@"
}

if ! task=$(ask "$api/v1/tasks" \
    -H 'Content-Type: application/json' -H "Idempotency-Key: \"$key\"" -d "$body"); then
    printf '%s\n' "$task" >&2
    exit 1
fi
id=$(printf '%s' "$task" | sed 's/^{"id":"\([^"]*\)".*/\1/')

# The server holds the answer until the task ends, for at most 30 seconds at a time.
while :; do
    task=$(ask "$api/v1/tasks/$id?wait=30")
    # The state stands before the arguments, which may hold anything.
    case ${task%%',"args":'*} in
    *'"state":"succeeded"'*)
        printf '%s\n' "$task"
        exit 0
        ;;
    *'"state":"failed"'* | *'"state":"cancelled"'* | *'"state":"expired"'* | \
        *'"state":"quarantined"'*)
        printf '%s\n' "$task"
        exit 1
        ;;
    esac
    sleep 1
done
