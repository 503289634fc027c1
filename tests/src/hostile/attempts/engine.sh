# shellcheck shell=bash
# What an engine gives, if there is one. Without one, nothing answers to "docker".
# shellcheck disable=SC2154

see_neighbour() {
    if [ "$mode" = host ]; then docker ps; else docker ps --all | grep "terarchitect-$neighbour"; fi
}
enter_neighbour() { docker exec "terarchitect-$neighbour" true; }
read_neighbour_cache() {
    docker run --rm --log-driver none --volume "$neighbour_cache:/v" "terarchitect-probe-$id" \
        /bin/sh -c '[ -e /v/npm/of-the-neighbour ]'
}

# A process of another job is known by its argument.
signal_neighbour() {
    # shellcheck disable=SC2016
    perl -e 'my $wanted = "neighbour-held-$ENV{id}";
        for my $file (glob "/proc/[0-9]*/cmdline") {
            open my $line, "<", $file or next;
            grep { $_ eq $wanted } split /\0/, join "", <$line> or next;
            $file =~ /(\d+)/ and (kill 0, $1 or die "$!\n") and exit;
        }
        die "No such file\n"'
}

become_root() { : >>/etc/shadow; }

try_the_engine() {
    try become-root become_root
    try neighbour-process signal_neighbour
    local thing
    for thing in host-engine:see_neighbour neighbour-container:enter_neighbour neighbour-cache:read_neighbour_cache; do
        if attempt "${thing#*:}" >/dev/null; then
            note "${thing%:*}" open
        elif [ "$mode" = host ] || [ -z "$image" ]; then
            note "${thing%:*}" blocked Absent
        else
            note "${thing%:*}" blocked "an engine of its own"
        fi
    done
}
