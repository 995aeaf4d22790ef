#!/bin/sh
# Unpacks what rbench is linked with, as Debian builds it for arm64, into a folder that is then the
# root of an AArch64 machine to compiler and emulator. Nothing is installed here; apt works on lists
# of its own. Does nothing where the folder is complete. Usage: root.sh FOLDER
set -eu
[ -e "$1/complete" ] && exit 0
mkdir -p "$1"
root=$(cd "$1" && pwd)
apt=$root.apt
rm -rf "$apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: >"$apt/status"
trap 'rm -rf "$apt"' EXIT

quietly() {
    "$@" >"$apt/log" 2>&1 || {
        cat "$apt/log"
        exit 1
    }
}
arm64() {
    quietly apt-get -qq -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
        --no-install-recommends --download-only "$@"
}
arm64 update
arm64 install libopenblas-openmp-dev libjansson-dev libhwloc-dev libutf8proc-dev libxxhash-dev \
    libstb-dev
for package in "$apt"/archives/*.deb; do
    quietly dpkg -x "$package" "$root"
done
touch "$root/complete"
