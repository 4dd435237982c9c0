# Shared by build-image and build-profilers; sourced after scripts/lib.sh.
# What they unpack is of one Debian release, whatever the building machine runs.
# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=sh disable=SC2034,SC2154

suite=bookworm

# perf links these directly or through one another.  What is taken from them is
# only the files that perf needs to start; "add" says which one is missing.
perf_packages="linux-perf libc6 libgcc-s1 libstdc++6 libbabeltrace1 libglib2.0-0
    libpcre2-8-0 libuuid1 libcap2 libdw1 libelf1 libbz2-1.0 liblzma5 libnuma1
    libopencsd1 libperl5.36 libcrypt1 libpython3.11 libexpat1 libslang2
    libunwind8 libzstd1 zlib1g"

# fetch PACKAGE...: downloads them and prints the paths of their files
fetch() {
    "$top/scripts/fetch" "$suite" "$@"
}

# unpack DIRECTORY PACKAGE...
unpack() {
    dir=$1
    shift
    debs=$(fetch "$@")
    for deb in $debs; do
        dpkg-deb -x "$deb" "$dir"
    done
}

# needed FILE: the names of the shared libraries that FILE asks for
needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# add FROM LIB FILE: copies to the folder LIB what FILE needs, and what that
# needs, out of what was unpacked in FROM
add() {
    for name in $(needed "$3"); do
        [ ! -e "$2/$name" ] || continue
        lib=$(find "$1" -name "$name" | head -n 1)
        [ -n "$lib" ] || die "no package has $name, which ${3##*/} needs"
        cp -L "$lib" "$2/$name"
        add "$1" "$2" "$2/$name"
    done
}

# Debian's perf is a wrapper in some releases, beside the real one
perf_in() { find "$1/usr/bin" -name 'perf*' -size +1000k | head -n 1; }
loader_in() { find "$1" -name ld-linux-x86-64.so.2 | head -n 1; }
