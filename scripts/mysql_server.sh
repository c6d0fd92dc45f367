#!/usr/bin/env bash
# Brings a MySQL server for the tests: Debian 12 has MariaDB only, so the package is taken from Debian's suite sid,
# with the libraries that it needs, and unpacked into a cache folder. Nothing of the system changes. Asks nothing,
# needs no root, and does nothing, quickly, when the server is there.
#
#   scripts/mysql_server.sh           make the server available; fails with the reason when it cannot be had
#   scripts/mysql_server.sh --path    print the program to start, or nothing (exit code 1) when there is none
#
# The folder of that program also holds data/, the data folder of a server that has never run, for tests to copy:
# making one takes seconds. The cache (400 MB) is outside build/, so that `make clean` and further clones do not
# download it again. Root's is below /var/cache, because the server runs as another user, who may not enter root's
# home.
set -euo pipefail
umask 022

# Increased when this script unpacks differently: an older cache is then not used.
layout=1
package=mysql-server-core

if [[ -n ${QUITTANCE_CACHE:-} ]]; then
    cache=$QUITTANCE_CACHE
elif ((EUID == 0)); then
    cache=/var/cache/quittance
else
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/quittance
fi
folder=$cache/mysql-server-$layout
program=$folder/mysqld

if [[ ${1:-} == --path ]]; then
    [[ -x $program ]] || exit 1
    echo "$program"
    exit
fi
if [[ -x $program ]]; then exit; fi

fail() {
    echo "setup: no MySQL server for the tests: $*" >&2
    exit 1
}

# The mirror that this machine takes Debian from, and the keys that it trusts for it, as a source of the suite sid.
# Reads both forms of apt's sources; the first one that serves this release is taken.
source_of_sid() {
    local codename=$1 file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [[ -r $file ]] || continue
        awk -v codename="$codename" -v deb822="$([[ $file == *.sources ]] && echo 1 || echo 0)" '
            function finish() {
                if (!found && uri != "" && types ~ /(^| )deb( |$)/ && (" " suites " ") ~ " " codename " ") {
                    print "Types: deb\nURIs: " uri "\nSuites: sid\nComponents: main"
                    if (key != "") print "Signed-By: " key
                    found = 1
                }
                uri = suites = types = key = ""
            }
            /^[[:space:]]*#/ { next }
            deb822 && /^[[:space:]]*$/ { finish(); next }
            deb822 {
                value = $0; sub(/^[^:]*:[[:space:]]*/, "", value)
                if ($0 ~ /^Types:/) types = value
                if ($0 ~ /^URIs:/) { split(value, uris, " "); uri = uris[1] }
                if ($0 ~ /^Suites:/) suites = value
                if ($0 ~ /^Signed-By: *\//) key = value
                next
            }
            $1 == "deb" {
                types = "deb"; key = ""
                if (match($0, /signed-by=[^] ]+/)) key = substr($0, RSTART + 10, RLENGTH - 10)
                line = $0; sub(/\[[^]]*\]/, "", line); split(line, words, " ")
                uri = words[2]; suites = words[3]
                finish()
            }
            END { finish() }' "$file"
    done | awk '/^Types:/ { count++ } count == 1'
}

for needed in apt-get dpkg-deb flock; do
    command -v "$needed" > /dev/null || fail "this system has no $needed"
done
# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
source=$(source_of_sid "${codename:-unknown}")
[[ -n $source ]] || fail "apt's sources name no mirror of Debian's ${codename:-release}"

mkdir -p "$cache"
# Several clones may set up at once.
exec {lock}> "$cache/mysql-server.lock"
flock "$lock"
if [[ -x $program ]]; then exit; fi

work=$(mktemp -d "$cache/unpacking.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
mkdir -p "$work"/apt/{sources,state/lists/partial,cache/archives/partial} "$work/root"
printf '%s\n' "$source" > "$work/apt/sources/sid.sources"

# apt with folders of its own, where nothing is installed: what it would install is all that the server needs.
apt_get() {
    apt-get --quiet --yes \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/sources" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$work/apt/state" -o Dir::State::status=/dev/null -o Dir::Cache="$work/apt/cache" \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        -o Acquire::Retries=3 -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
        -o APT::Update::Post-Invoke-Success::= -o DPkg::Post-Invoke::= "$@" < /dev/null
}

echo "setup: bringing a MySQL server for the tests into $folder"
apt_get update > "$work/apt/log" 2>&1 || fail "$(tail -n 3 "$work/apt/log")"
apt_get install --no-install-recommends --download-only "$package" >> "$work/apt/log" 2>&1 ||
    fail "$(tail -n 3 "$work/apt/log")"
for archive in "$work"/apt/cache/archives/*.deb; do
    case ${archive##*/} in
        # For scripts of the package that the tests do not use.
        perl* | libperl*) ;;
        *) dpkg-deb --fsys-tarfile "$archive" | tar --extract --no-same-owner --directory "$work/root" \
            --exclude='./usr/share/doc' --exclude='./usr/share/man' ;;
    esac
done

# The server needs newer libraries than the system's, among them the C library with its loader.
loader=$(find "$work/root" -name 'ld-linux*.so.*' -path '*/lib*' -printf '%P\n' | sort | head -n 1)
libraries=$(find "$work/root/usr/lib" -name 'libstdc++.so.*' -printf '%h\n' | head -n 1)
[[ -n $loader && -n $libraries && -x $work/root/usr/sbin/mysqld ]] || fail "its packages are not as expected"
rm -rf "$folder"
mkdir "$folder"
mv "$work/root" "$folder/root"
cat > "$folder/mysqld.new" << END
#!/bin/sh
root=$folder/root
exec "\$root/$loader" --library-path "\$root/${libraries#"$work/root/"}" "\$root/usr/sbin/mysqld" --no-defaults \\
    --basedir="\$root/usr" --lc-messages-dir="\$root/usr/share/mysql" \\
    --character-sets-dir="\$root/usr/share/mysql/charsets" --plugin-dir="\$root/usr/lib/mysql/plugin" "\$@"
END
chmod 0755 "$folder/mysqld.new"
as_root=()
if ((EUID == 0)); then as_root=(--user=root); fi
"$folder/mysqld.new" "${as_root[@]}" --initialize-insecure \
    --datadir="$folder/data" --innodb-redo-log-capacity=32M > "$folder/log" 2>&1 ||
    fail "$(tail -n 3 "$folder/log")"
# The program's name last: where it stands, all is whole.
mv "$folder/mysqld.new" "$program"
