#!/usr/bin/env bash
# The same seeds have the same histories, byte for byte: in another process, and shared among others.
set -euo pipefail
sim=$1
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

digest() { "$sim" --seeds 200 --first 1 "$@" | sed -n 's/^histories //p'; }
first=$(digest)
[[ -n $first ]]
[[ $first == "$(digest --jobs 3)" ]] || { echo "other histories with three jobs"; exit 1; }
for seed in 1 2 3; do
    "$sim" --story --first $seed > "$scratch/first"
    "$sim" --story --first $seed > "$scratch/second"
    cmp "$scratch/first" "$scratch/second"
done
echo "histories $first, every time"
