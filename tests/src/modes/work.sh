#!/bin/bash
# What the worker of a job in tests/modes does with Docker, and tells in report.txt:
#
#   bash work.sh NAME PORT HOST tidy|leave
#
# NAME is that of its images, container, volume and network, PORT the one that its container publishes,
# HOST where that is found. There need be no registry: the base of its image is made of programs that
# are here.
set -u
name=$1 port=$2 host=$3 after=$4
marker=$(cat /proc/sys/kernel/random/uuid)

say() { printf '%s\n' "$*" >>report.txt; }

# Stays until the test has looked.
hold() {
    touch "/tmp/$name.held"
    until [ -e "/tmp/$name.go" ]; do sleep 0.1; done
}

count() { docker "$@" | wc -l; }

base() (
    cd /
    # shellcheck disable=SC2046
    tar -chf - bin/sh usr/bin/perl usr/lib/*-linux-gnu/perl-base \
        $(ldd /bin/sh /usr/bin/perl | grep -o '/[^ :]*\.so[^ ]*' | sort -u | sed 's|^/||') |
        docker import - "$name-base" >/dev/null
)

build() {
    printf '%s\n' "FROM $name-base" "COPY server.pl /" "RUN echo $marker >/marker" \
        'CMD ["/usr/bin/perl", "/server.pl"]' >Dockerfile
    docker build --quiet --tag "$name" . >/dev/null
}

answer() {
    local try answer
    for try in {1..50}; do
        answer=$(curl --silent --max-time 2 --noproxy '*' "http://$host:$port/") && break
        sleep 0.1
    done
    if [ "$answer" = "$marker" ]; then echo own; else echo "other ($answer) after $try"; fi
}

: >report.txt
if ! docker version >/dev/null 2>&1; then
    if [ -S /var/run/docker.sock ]; then say "engine dead"; else say "engine none"; fi
    hold
    exit
fi
say "engine found"
say "before: containers $(count ps --all --quiet) volumes $(count volume ls --quiet)" \
    "images $(count images --quiet "$name")"
# An image that is there already has the marker of who made it.
problem=$({ base && build; } 2>&1) || say "build failed: $problem"
docker volume create "$name" >/dev/null
docker network inspect "$name" >/dev/null 2>&1 || docker network create "$name" >/dev/null
if problem=$(docker run --detach --name "$name" --publish "$port:8080" --volume "$name:/data" \
    --network "$name" "$name" 2>&1 >/dev/null); then
    say "run ok, answer $(answer)"
    say "own name $(docker run --rm "$name" /usr/bin/perl /server.pl "$(hostname)")"
else
    say "run failed: $problem"
    problem=$(docker run --detach --name "$name-$marker" --publish "$port:8080" "$name" 2>&1 >/dev/null)
    say "other name failed: $problem"
    docker rm --force "$name-$marker" >/dev/null
fi
hold
say "after: container $(docker inspect --format '{{.State.Status}}' "$name")"
if [ "$after" = tidy ]; then
    docker rm --force "$name" >/dev/null
    docker network rm "$name" >/dev/null
    docker volume rm "$name" >/dev/null
    docker rmi --force "$name" "$name-base" >/dev/null
    say "tidied"
fi
