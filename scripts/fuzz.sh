#!/usr/bin/env bash
# Builds the fuzz targets and runs each for FUZZ_SECONDS (30), two at a time. With names as arguments, only these.
# What is found on the way is kept in build/fuzz/corpus/, and an input that breaks a property in
# build/fuzz/findings/: give it to its target again with build/fuzz/bin/fuzz_NAME FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${FUZZ_SECONDS:-30}
at_once=2
# A single answer that takes so long is a finding, too.
longest_run=10
longest_input=4096

echo "==> building the fuzz targets"
cmake --preset fuzz --log-level=WARNING
cmake --build --preset fuzz --parallel "${JOBS:-$(nproc)}"

fuzz() {
    local name=$1
    local log=build/fuzz/$name.log
    mkdir -p "build/fuzz/corpus/$name"
    "build/fuzz/bin/fuzz_$name" "-max_total_time=$seconds" "-timeout=$longest_run" "-max_len=$longest_input" \
        "-artifact_prefix=build/fuzz/findings/$name-" -print_final_stats=1 \
        "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" > "$log" 2>&1 || {
        echo "$name: FAILED"
        tail -n 60 "$log"
        return 1
    }
    local runs cover
    runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
    cover=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    echo "$name: $runs executions, $cover edges covered"
}

mkdir -p build/fuzz/findings
names=("$@")
if ((${#names[@]} == 0)); then
    for folder in tests/fuzz/corpus/*/; do names+=("$(basename "$folder")"); done
fi

echo "==> fuzzing ${#names[@]} targets for $seconds s each, $at_once at a time"
failed=()
for ((i = 0; i < ${#names[@]}; i += at_once)); do
    running=()
    for name in "${names[@]:i:at_once}"; do
        fuzz "$name" &
        running+=("$!:$name")
    done
    for one in "${running[@]}"; do wait "${one%%:*}" || failed+=("${one#*:}"); done
done

if ((${#failed[@]} > 0)); then
    echo "fuzz: FAILED: ${failed[*]}; the inputs are in build/fuzz/findings/" >&2
    exit 1
fi
echo "fuzz: no finding"
