# shellcheck shell=bash
# How a thing is tried: as the worker, and where that fails and there is an engine, as
# the root that the engine gives. A line for each in the report: the thing, "open",
# "engine" or "blocked", and by which words it was refused.
# shellcheck disable=SC2154

report=$PWD/report.txt

note() { # thing, outcome, words
    printf '%s %s %s\n' "$1" "$2" "$(printf %s "${3:-}" | tr '\n' ' ' | tail -c 160)" >>"$report"
}

try() { # thing, command or function, arguments…
    local thing=$1 said code
    shift
    said=$(attempt "$@") && { note "$thing" open; return; }
    code=$?
    local as_root
    if has_engine && as_root=$(as_root "$@" 2>&1 </dev/null | tr -d '\0'; exit "${PIPESTATUS[0]}"); then
        note "$thing" engine "$as_root"
    else
        note "$thing" blocked "exit $code $said"
    fi
}

attempt() { timeout --kill-after 1 30 bash -c "$(declare -f); \"\$@\"" - "$@" 2>&1 </dev/null; }

# A container that shares all it can with where the engine runs, and works in its root.
as_root() { # command or function, arguments…
    local words
    words=$(declare -f)'; "$@"'
    timeout --kill-after 1 20 docker run --rm --log-driver none --pid host --network host --ipc host --uts host \
        --security-opt seccomp=unconfined --security-opt apparmor=unconfined "${rights[@]}" \
        --volume /:/host "$image" /usr/sbin/chroot /host /usr/bin/env -i \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${facts[@]}" \
        /bin/bash -c "$words" - "$@"
}

# The engine's image, made of what is here, and the most rights that it can give.
prepare_engine() {
    facts=("id=$id" "mode=$mode" "host=$host" "canary=$canary" "loopback=$loopback" "metadata=$metadata"
        "datagrams=$datagrams" "neighbour_address=$neighbour_address" "link=$link")
    # What the host's engine starts is in the host's network, and sees all processes.
    [ "$mode" != dood ] || facts+=(link=lo "container=$(hostname)")
    image=terarchitect-probe-$id rights=()
    docker version >/dev/null 2>&1 || { image=; return; }
    local programs=(/usr/sbin/chroot /bin/sh) libraries level
    mapfile -t libraries < <(ldd "${programs[@]}" | grep -o '/lib[^ ]*' | sort -u)
    tar --create --dereference --hard-dereference --absolute-names "${programs[@]}" "${libraries[@]}" |
        docker import - "$image" >/dev/null || return
    # There it would be the root of this machine, of which it is the root already.
    [ "$mode" != host ] || return
    for level in most many some few; do
        ask_for $level
        as_root true >/dev/null 2>&1 && return
    done
    rights=()
}

# Of rights that an engine has not itself, the names must not be spoken.
ask_for() { # how many
    case $1 in
        most) rights=(--privileged) ;;
        many) rights=(--cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add SYS_PTRACE --cap-add SYS_TIME
            --cap-add SYS_RAWIO --device-cgroup-rule 'b *:* rwm') ;;
        some) rights=(--cap-add SYS_ADMIN --cap-add NET_ADMIN) ;;
        few) rights=(--cap-add CHOWN) ;;
    esac
}

has_engine() { [ ${#rights[@]} -gt 0 ]; }

# An expression that is true if the thing is open.
perl_it() { perl -e "$1"' or die "$!\n"' "${@:2}"; }
