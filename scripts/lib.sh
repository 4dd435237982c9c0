# Shared by the scripts of this project; sourced, never run.  POSIX sh.
# $top is the project's folder.
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2154

cache=${XDG_CACHE_HOME:-$HOME/.cache}/qemu-vpmu
build=$top/build

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Only one process at a time may work below build (fd 8 stays open until the
# script ends).
build_lock() {
    mkdir -p "$build"
    exec 8>"$build/lock"
    flock -n 8 || { say "waiting for another make"; flock 8; }
}

# original FILE: what the .debian.tar.xz FILE of a source package belongs to
original() { echo "${1%-*}.orig.tar.xz"; }

# version_of TREE: what the source of QEMU or libvirt says it is
version_of() {
    cat "$1/VERSION" 2>/dev/null ||
        sed -n "s/^ *version: '\(.*\)',/\1/p; /^)/q" "$1/meson.build"
}

# --- long steps --------------------------------------------------------------

# logged NAME WHAT COMMAND...: run a command with its output in a log.  What it
# is at is shown, with the last of ninja's counters in the log: on a terminal
# on one line, else every half minute.  When it fails, so does the script.
logged() {
    log=$build/logs/$1.log
    what=$2
    shift 2
    mkdir -p "$build/logs"
    : >"$log"
    watch_log 8>&- 9>&- & watcher=$!
    if "$@" >"$log" 2>&1 </dev/null; then rc=0; else rc=$?; fi
    kill $watcher 2>/dev/null || true
    wait $watcher 2>/dev/null || true
    [ ! -t 2 ] || printf '\r\033[K' >&2
    [ $rc -ne 0 ] || return 0
    tail -n 20 "$log" | sed 's/^/    /' >&2
    die "$what failed.  Log: $log"
}

watch_log() {
    if [ -t 2 ]; then step=1; else step=30; fi
    # Until the script ends, however that happens
    while kill -0 $$ 2>/dev/null; do
        sleep $step >/dev/null 2>&1
        at=$(tail -n 50 "$log" | sed -nE 's/^\[([0-9]+)\/([0-9]+)\].*/step \1 of \2/p' | tail -n 1)
        if [ -t 2 ]; then
            printf '\r%s: %s\033[K' "$what" "$at" >&2
        else
            say "  $what${at:+: $at}"
        fi
    done
}

# --- tools -------------------------------------------------------------------

python=/usr/bin/python3
[ -x $python ] || python=python3

# use_meson: make "$python -m mesonbuild.mesonmain" a meson that QEMU 10.0
# takes: the machine's, or else Debian's package, unpacked under the cache.
use_meson() {
    ! $python -c '
import importlib.metadata as m, sys
sys.exit([int(n) for n in m.version("meson").split(".")[:2]] < [1, 5])
' 2>/dev/null || return 0
    command -v dpkg-deb >/dev/null ||
        die "please install meson 1.5.0 or newer for $python"
    if [ ! -d "$cache/meson" ]; then
        deb=$("$top/scripts/fetch" bookworm-backports meson) ||
            deb=$("$top/scripts/fetch" trixie meson)
        rm -rf "$cache/meson.new"
        dpkg-deb -x "$deb" "$cache/meson.new"
        mv "$cache/meson.new" "$cache/meson"
    fi
    export PYTHONPATH="$cache/meson/usr/lib/python3/dist-packages"
}

# initramfs DIR: its files as an archive of an initial file system
initramfs() {
    (cd "$1" && find . | LC_ALL=C sort | cpio -o -H newc 2>/dev/null)
}

# plugin NAME SOURCE DIR: compile a plugin of tests/plugins for the QEMU of that
# source into the folder
plugin() {
    # shellcheck disable=SC2046 # a list of options
    ${CC:-cc} -std=gnu11 -O2 -Wall -Werror -shared -fPIC -o "$3/$1.so" \
        -I "$2/include/qemu" "$top/tests/plugins/$1.c" \
        $(pkg-config --cflags --libs glib-2.0)
}

meson() { $python -m mesonbuild.mesonmain "$@"; }

# build_fuzzers: the fuzzers in build/fuzz, after use_meson.  $no_fuzz is why
# there are none: the compiler may do without, and so may the developer.
build_fuzzers() {
    no_fuzz="clang with libFuzzer is not installed"
    "$top/scripts/deps" fuzz || return 0
    # One of them has files of QEMU.
    [ -f "$build/qemu/VERSION" ] || "$top/scripts/tree" qemu
    ninja -C "$build/fuzz" -t query fuzz-qmp >/dev/null 2>&1 ||
        rm -rf "$build/fuzz/build.ninja" "$build/fuzz/meson-private"
    [ -f "$build/fuzz/build.ninja" ] ||
        CC=clang logged fuzz-setup "configuring the fuzzers" \
            meson setup "$build/fuzz" "$top"
    if ninja -C "$build/fuzz" -t query fuzzers >/dev/null 2>&1; then
        no_fuzz=
        logged fuzz-build "building the fuzzers" \
            ninja -C "$build/fuzz" -j "${JOBS:-$(nproc)}" fuzzers
    else
        no_fuzz="this clang has no libFuzzer"
        rm -rf "$build/fuzz" # another time it may have
    fi
}

# kvm_include DIR: make it a folder of headers with that of the hand-over, which
# QEMU and the kernel include from asm
kvm_include() {
    mkdir -p "$1/asm"
    cp "$top/linux-headers/asm-x86/kvm_vpmu_handover.h" "$1/asm/"
}

# kvm_programs DIR: compile there what the tests of KVM's modules run
kvm_programs() {
    kvm_include "$1/include"
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror \
        -Wno-missing-field-initializers -Wno-sign-compare -static \
        -idirafter "$1/include" -pthread -o "$1/kvm-handover" \
        "$top/tests/kvm/handover.c" "$top/tests/kvm/handover-abi.c" \
        "$top/tests/kvm/handover-calls.c" \
        "$top/tests/kvm/handover-check.c" "$top/tests/kvm/handover-counts.c" \
        "$top/tests/kvm/handover-events.c" "$top/tests/kvm/handover-figures.c" \
        "$top/tests/kvm/handover-fault.c" "$top/tests/kvm/handover-fixed.c" \
        "$top/tests/kvm/handover-guest.c" "$top/tests/kvm/handover-host.c" \
        "$top/tests/kvm/handover-paging.c" \
        "$top/tests/kvm/handover-pebs.c" "$top/tests/kvm/handover-race.c" \
        "$top/tests/kvm/handover-reserve.c" "$top/tests/kvm/handover-signal.c" \
        "$top/tests/kvm/handover-switch.c" \
        "$top/tests/kvm/handover-together.c" "$top/tests/kvm/vm.c" \
        "$top/tests/kvm/guest.S"
    ${CC:-cc} -nostdlib -static -no-pie -Wl,--build-id=none -o "$1/loop" \
        "$top/tests/guest/loop.S"
}

# --- the files of this project that belong into QEMU's or libvirt's tree -----

# files FOLDER NAME...: the names of all files below these in FOLDER
files() (
    cd "$1" || exit
    shift
    if [ -e "$top/.git" ]; then
        git ls-files -co --exclude-standard -- "$@"
    else
        find "$@" -name __pycache__ -prune -o -type f -print 2>/dev/null |
            sed 's|^\./||'
    fi | LC_ALL=C sort | while read -r file; do
        [ ! -e "$file" ] || echo "$file"
    done
)

# home qemu|libvirt: the folder that mirrors that tree
home() {
    case $1 in
    qemu) echo "$top" ;;
    libvirt) echo "$top/libvirt" ;;
    esac
}

# ours qemu|libvirt: the names of the files that are linked into that tree.  Of
# the tests, that is the qtests; the others are built and run here.
ours() {
    case $1 in
    qemu) files "$top" accel docs hw include linux-headers monitor python qapi \
                stubs system target tests/qtest tools ;;
    libvirt) files "$top/libvirt" . ;;
    esac
}

# series_of qemu|libvirt: the series of patches for that tree, in the order in
# which they are applied; each of them also applies without the others
series_of() {
    case $1 in
    qemu) echo qemu qemu-vmx ;;
    *) echo "$1" ;;
    esac
}

# hooks SERIES: the patches to the tree's own files, in order
hooks() {
    for hook in "$top/patches/$1"/*.patch; do
        [ ! -e "$hook" ] || echo "$hook"
    done
}

# all_hooks qemu|libvirt: those of all series for that tree
all_hooks() {
    for series in $(series_of "$1"); do
        hooks "$series"
    done
}

# has_diff HOOK: a hook may also only add files of ours
has_diff() { grep -q '^+++ b/' "$1"; }

# hunks_add_up HOOK: each hunk is as long as its first line says.  The program
# "patch" ignores what comes beyond that.
hunks_add_up() {
    awk '
    function wrong(what) {
        printf "%s:%d: the hunk %s than \"%s\" says.\n" \
            "Correct the two lengths there, or make the change in build/ and " \
            "let scripts/series write the hook (HACKING.md).\n", \
            FILENAME, start, what, head
        bad = 1
        exit 1
    }
    function length_of(range, part) {
        return split(range, part, ",") > 1 ? part[2] : 1
    }
    old > 0 || new > 0 {
        kind = substr($0, 1, 1)
        if (kind == "\\") { next }
        if (kind != "+") { old-- }
        if (kind != "-") { new-- }
        if (kind !~ /[-+ ]/ && $0 != "") { wrong("is shorter") }
        if (old < 0 || new < 0) { wrong("is longer") }
        next
    }
    header {
        header = 0
        if ($0 !~ /^[+][+][+] /) { wrong("is longer") }
        next
    }
    /^@@ / {
        head = $1 " " $2 " " $3 " @@"
        start = FNR
        old = length_of($2)
        new = length_of($3)
        next
    }
    start && /^--- / { header = 1; next }
    start && /^[-+ ]/ { wrong("is longer") }
    END { if (!bad && (old > 0 || new > 0)) { wrong("is shorter") } }' "$1" >&2
}

# apply_hook FOLDER HOOK LOG: the hook must fit without any fuzz
apply_hook() {
    has_diff "$2" || return 0
    hunks_add_up "$2" || return 1
    patch -d "$1" -p1 --force --fuzz=0 --no-backup-if-mismatch -i "$2" \
          >>"$3" 2>&1 </dev/null ||
        { tail -n 20 "$3" | sed 's/^/    /' >&2; return 1; }
}

# --- tests: results in the Test Anything Protocol ----------------------------

n=0
status=0

# result NAME STATUS
result() {
    n=$((n + 1))
    if [ "$2" -eq 0 ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        status=1
    fi
}

# try NAME COMMAND...: what the command prints is shown when it fails
try() {
    tried=$1
    shift
    said=$("$@" 2>&1) && result "$tried" 0 || {
        result "$tried" 1
        printf '%s\n' "$said" | sed 's/^/# /'
    }
}

# end_tests: with the plan
end_tests() {
    echo "1..$n"
    exit $status
}
