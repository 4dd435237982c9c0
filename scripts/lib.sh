# Shared by the scripts of this project; sourced, never run.  POSIX sh.
# $top is the project's folder.
# SPDX-License-Identifier: GPL-2.0-or-later

cache=${XDG_CACHE_HOME:-$HOME/.cache}/qemu-vpmu
build=$top/build

say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Only one process at a time may work below the cache (fd 9 stays open until
# the script ends).
cache_lock() {
    mkdir -p "$cache/dist"
    exec 9>"$cache/lock"
    flock 9
}

# The same for what is below build (fd 8).
build_lock() {
    mkdir -p "$build"
    exec 8>"$build/lock"
    flock -n 8 || { say "waiting for another make"; flock 8; }
}

# --- a private apt -----------------------------------------------------------
#
# Packages of other suites than the machine's own are needed.  They come
# through an apt configuration of our own under the cache, with the archive
# address that the machine itself uses, so that its sources stay untouched and
# nothing is installed.

# archive ''|-security: the address from which this machine gets Debian or its
# security updates.  Asking apt covers both forms of source entries.
archive() {
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
        'Created-By: Packages' 2>/dev/null |
        sed -nE "s/^(bookworm|trixie|forky|sid|stable|testing|oldstable)$1 main //p" |
        head -n 1
}

# apt_setup SUITE: prepare $cache/apt/SUITE and set $aptdir.  The suite's
# updates and security fixes belong to it.
apt_setup() {
    command -v apt-get >/dev/null ||
        die "packages of Debian are needed, and this system has no apt-get." \
            "Put the files in a folder and name it with DISTDIR= (make help)."
    aptdir=$cache/apt/$1
    uri=$(archive '')
    [ -n "$uri" ] ||
        die "the apt sources of this machine name no Debian archive." \
            "Put the files in a folder and name it with DISTDIR= (make help)."
    mkdir -p "$aptdir/lists/partial" "$aptdir/archives/partial"
    opt='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
    {
        for type in deb deb-src; do
            echo "$type $opt $uri $1 main"
            case $1 in *-*) continue ;; esac
            echo "$type $opt $uri $1-updates main"
            sec=$(archive -security)
            [ -z "$sec" ] || echo "$type $opt $sec $1-security main"
        done
    } >"$aptdir/sources.new"
    # Another archive: the lists at hand may not be right any more.
    cmp -s "$aptdir/sources.new" "$aptdir/sources.list" ||
        rm -f "$aptdir/updated"
    mv "$aptdir/sources.new" "$aptdir/sources.list"
    # Read with -c, that is after the machine's own settings (a proxy stays in
    # force, hooks that concern the machine do not).
    cat >"$aptdir/apt.conf" <<-CONF
	Dir::State::lists "$aptdir/lists";
	Dir::State::status "/dev/null";
	Dir::Cache "$aptdir";
	Dir::Cache::pkgcache "pkgcache.bin";
	Dir::Cache::srcpkgcache "";
	Dir::Etc::sourcelist "$aptdir/sources.list";
	Dir::Etc::sourceparts "/dev/null";
	Dir::Etc::preferences "/dev/null";
	Dir::Etc::preferencesparts "/dev/null";
	APT::Sandbox::User "root";
	APT::Architecture "amd64";
	#clear APT::Architectures;
	APT::Architectures { "amd64"; };
	#clear APT::Update;
	#clear Acquire::IndexTargets;
	Acquire::IndexTargets::deb::Packages {
	    MetaKey "\$(COMPONENT)/binary-\$(ARCHITECTURE)/Packages";
	    flatMetaKey "Packages";
	    ShortDescription "Packages";
	    Description "\$(RELEASE)/\$(COMPONENT) \$(ARCHITECTURE) Packages";
	};
	Acquire::IndexTargets::deb-src::Sources {
	    MetaKey "\$(COMPONENT)/source/Sources";
	    flatMetaKey "Sources";
	    ShortDescription "Sources";
	    Description "\$(RELEASE)/\$(COMPONENT) Sources";
	    Optional "false";
	};
	Acquire::Languages "none";
	Acquire::Retries "2";
CONF
}

apt_get() { apt-get -c "$aptdir/apt.conf" -q "$@"; }
apt_cache() { apt-cache -c "$aptdir/apt.conf" "$@"; }

apt_errors() { sed -n 's/^[EW]: /    /p' "$aptdir/log" | sort -u >&2; }

# versions PACKAGE [Sources]: those in the lists, newest first.
versions() {
    apt_cache madison "$1" |
        awk -F' *[|] *' -v kind="${2:-Packages}" \
            '$3 ~ kind "$" && !seen[$2]++ { print $2 }'
}

# original FILE: what the .debian.tar.xz FILE of a source package belongs to
original() { echo "${1%-*}.orig.tar.xz"; }

# version_of TREE: what the source of QEMU or libvirt says it is
version_of() {
    cat "$1/VERSION" 2>/dev/null ||
        sed -n "s/^ *version: '\(.*\)',/\1/p; /^)/q" "$1/meson.build"
}

# Package lists older than a day may name versions that are gone.
apt_update() {
    if [ "${1:-}" = force ] ||
       [ -z "$(find "$aptdir/updated" -mtime -1 2>/dev/null)" ]; then
        say "reading Debian's package lists (${aptdir##*/})"
        # One suite that cannot be read must not spoil the others.
        apt_get update >"$aptdir/log" 2>&1 || apt_errors
        touch "$aptdir/updated"
    fi
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
    watch_log & watcher=$!
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
    while :; do
        sleep $step >/dev/null 2>&1 8>&- 9>&-
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
        deb=$("$top/scripts/fetch-deb" bookworm-backports meson) ||
            deb=$("$top/scripts/fetch-deb" trixie meson)
        rm -rf "$cache/meson.new"
        dpkg-deb -x "$deb" "$cache/meson.new"
        mv "$cache/meson.new" "$cache/meson"
    fi
    export PYTHONPATH="$cache/meson/usr/lib/python3/dist-packages"
}

# kvm_programs DIR: compile there what the tests of KVM's modules run
kvm_programs() {
    mkdir -p "$1/include/asm"
    # QEMU and the kernel include it from asm
    cp "$top/linux-headers/asm-x86/kvm_vpmu_handover.h" "$1/include/asm/"
    ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O1 -Wall -Wextra -Werror \
        -Wno-missing-field-initializers -Wno-sign-compare -static \
        -idirafter "$1/include" -pthread -o "$1/kvm-handover" \
        "$top/tests/kvm/handover.c" "$top/tests/kvm/handover-abi.c" \
        "$top/tests/kvm/handover-check.c" "$top/tests/kvm/handover-counts.c" \
        "$top/tests/kvm/handover-events.c" "$top/tests/kvm/handover-figures.c" \
        "$top/tests/kvm/handover-guest.c" "$top/tests/kvm/handover-host.c" \
        "$top/tests/kvm/handover-pebs.c" "$top/tests/kvm/handover-reserve.c" \
        "$top/tests/kvm/handover-together.c" "$top/tests/kvm/vm.c" \
        "$top/tests/kvm/guest.S"
    ${CC:-cc} -nostdlib -static -no-pie -Wl,--build-id=none -o "$1/loop" \
        "$top/tests/guest/loop.S"
}

# --- the files of this project that belong into QEMU's or libvirt's tree -----

# files FOLDER NAME...: the names of all files below these in FOLDER
files() (
    cd "$1"
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
    qemu) files "$top" accel docs hw include linux-headers monitor qapi stubs \
                system target tests/qtest ;;
    libvirt) files "$top/libvirt" . ;;
    esac
}

# hooks qemu|libvirt: the patches to that tree's own files, in order
hooks() {
    for hook in "$top/patches/$1"/*.patch; do
        [ ! -e "$hook" ] || echo "$hook"
    done
}
