# shellcheck shell=bash
# The kernel and the devices, which are the host's. What would do harm is begun and no
# more: a file is opened and not written, a value is replaced by itself.
# shellcheck disable=SC2016,SC2154

writable() { mount -o remount,rw "$1" 2>/dev/null; : ; }

read_disk() {
    local device node=/tmp/disk-$id
    device=$(cat /sys/class/block/*/dev 2>/dev/null | grep -m 1 '^[0-9]')
    mknod "$node" b "${device%:*}" "${device#*:}" && head -c 1 "$node" >/dev/null
    local code=$?
    rm -f "$node"
    return $code
}
mount_something() { mount -t tmpfs none /mnt && umount /mnt; }
new_user_namespace() { unshare --user --map-root-user true; }
set_core_pattern() {
    local file=/proc/sys/kernel/core_pattern now
    writable /proc/sys
    read -r now <$file && echo "$now" >$file
}
open_sysrq() {
    local file=/proc/sysrq-trigger
    # Some kernels are without; then another one that is as dangerous.
    [ -e $file ] || file=/proc/sys/vm/drop_caches
    writable /proc/sys
    writable $file
    : >>$file
}
open_sys() { writable /sys; : >>/sys/kernel/mm/transparent_hugepage/enabled; }
set_clock() { perl_it '-1 != syscall 164, 0, 0'; }
# In the keyring of the session, which ends with it.
add_key() {
    perl_it 'my ($type, $name, $value) = ("user", "probe", "x"); -1 != syscall 248, $type, $name, $value, 1, -3'
}

# The program that the kernel runs as root of the host when a control group is empty.
open_release_agent() {
    local folder code
    folder=$(mktemp -d)
    mount -t cgroup -o freezer none "$folder" && : >>"$folder/release_agent"
    code=$?
    umount "$folder" 2>/dev/null
    rmdir "$folder"
    return $code
}

try_the_host() {
    try host-disk read_disk
    try host-mount mount_something
    try host-core-pattern set_core_pattern
    try host-release-agent open_release_agent
    try host-sysrq open_sysrq
    try host-sys open_sys
    try host-clock set_clock
    try kernel-keyring add_key
    try user-namespace new_user_namespace
}
