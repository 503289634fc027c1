# shellcheck shell=bash
# How much it can use up. Each in its own process, that the worker survives.
# shellcheck disable=SC2016,SC2034,SC2154

fork_bomb() {
    perl -e 'for (1 .. 2000) { my $p = fork; defined $p or $e = "$!", last; $p or sleep(30), exit; push @p, $p }
        kill 9, @p; die "$e\n" if $e'
}
open_files() { perl -e 'for (1 .. 5000) { open $f[$_], "<", "/dev/null" or die "$!\n" }'; }
fill_memory() { perl -e '$x = "x" x (3 << 29); print length $x'; }
fill_shared_memory() {
    dd if=/dev/zero of="/dev/shm/full-$id" bs=1M count=600 status=none
    local code=$?
    rm -f "/dev/shm/full-$id"
    return $code
}

# The engine is of no use here: what it starts is in the same bounds.
try_the_limits() {
    local rights=()
    try fork-bomb fork_bomb
    try open-files open_files
    try fill-shared-memory fill_shared_memory
    try fill-memory fill_memory
}
