# shellcheck shell=bash
# What agent-runner knows and is.
# shellcheck disable=SC2016,SC2046,SC2154

# Its processes, the last one last: those that this worker descends from, or, seen from
# elsewhere, those of its container. Other jobs are not what is looked for here.
runners() {
    local process=$$ of=${container:-}
    if [ "$mode" = host ]; then
        while [ "${process:-0}" -gt 1 ]; do
            is_runner "$process" && echo "$process"
            process=$(awk '/^PPid:/ {print $2}' "/proc/$process/status")
        done
    else
        for process in /proc/[0-9]*; do
            is_runner "${process#/proc/}" && grep --quiet "$of" "$process/cgroup" && echo "${process#/proc/}"
        done
    fi | sort -n
}
is_runner() {
    [ "$(cat "/proc/$1/comm" 2>/dev/null)" = agent-runner ] && ! grep --quiet '^State:.*zombie' "/proc/$1/status"
}

# Of the runner that does the job: the one that the other started.
the_runner() { runners | tail -n 1; }

read_memory() { # its secrets
    perl -e 'my %found;
        for my $process (@ARGV) {
            open my $maps, "<", "/proc/$process/maps" or die "$!\n";
            open my $memory, "<", "/proc/$process/mem" or die "$!\n";
            while (<$maps>) {
                my ($begin, $end) = /^([0-9a-f]+)-([0-9a-f]+) rw/ or next;
                ($begin, $end) = (hex $begin, hex $end);
                next if $end - $begin > 1 << 26;
                sysseek $memory, $begin, 0 or next;
                sysread $memory, my $bytes, $end - $begin or next;
                $found{$1} = 1 while $bytes =~ /((?:ghp_|wak_|sk-hostile-)[A-Za-z0-9]{40})/g;
            }
        }
        print "$_\n" for keys %found;
        exit !%found' $(runners)
}

read_environment() { cat "/proc/$(the_runner)/environ"; }
read_descriptors() { ls -l "/proc/$(the_runner)/fd"; }
trace_it() { perl_it '-1 != syscall 101, 0x4206, $ARGV[0] + 0, 0, 0' "$(the_runner)"; }
signal_it() { kill -0 "$(the_runner)"; }

# Its folders, and those of the coordinator where they are on this machine.
read_files() { # folders…
    local readable
    readable=$(find "$@" -type f -readable 2>&1 | head -n 1)
    case $readable in
        find:*) echo "$readable" && return 1 ;;
        '') [ -n "$(find "$@" -type f)" ] && echo "Permission denied" || echo "No such file" && return 1 ;;
    esac
}
read_runner_files() {
    local folders=()
    mapfile -t folders < <(find "$(root_of_runner)"{tmp,var/tmp} -maxdepth 3 \
        \( -name '.agent-shadow-*' -o -name 'agent-git-*' \) 2>/dev/null)
    read_files "${folders[@]:-/nowhere}"
}

# Seen from a host, its files are elsewhere.
root_of_runner() {
    local root=/
    [ -z "${container:-}" ] || root=/proc/$(the_runner)/root/
    echo "$root"
}

# In all containers of a machine the runner has one output: that of the container.
write_output() { # line
    local process written=1
    for process in $(runners); do echo "$1" >"/proc/$process/fd/1" && written=0; done
    return $written
}

replace_program() {
    local file
    file=$(root_of_runner)usr/bin/probe-$id
    touch "$file" && rm "$file"
}

try_the_runner() {
    try runner-memory read_memory
    try runner-environment read_environment
    try runner-descriptors read_descriptors
    try runner-trace trace_it
    try runner-kill signal_it
    try runner-files read_runner_files
    try runner-output write_output "forged-by-descriptor-$id"
    try coordinator-files read_files "$keys"
    try replace-programs replace_program
}
