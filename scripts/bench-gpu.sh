#!/usr/bin/env bash
# The whole campaign for a machine with a real GPU, in one call of less than nine minutes: what the devices are, whether every kernel
# is right, how fast everything is, where the time of a step goes, whether the reference network learns, and PyTorch beside it.
#
#   scripts/bench-gpu.sh OUT            results as files in the folder OUT, and a summary there and on stdout
#   DEVICE=1 scripts/bench-gpu.sh OUT   another adapter than the one that auto takes; BACKEND=vulkan narrows the search
#   PYTHON=…                            the Python whose PyTorch is used
#
# Each stage has a time limit; one that fails or runs out of time does not stop the rest, and is listed at the end. The exit code is 0
# only if every stage that could run passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

stop() {
    printf 'scripts/bench-gpu.sh: %s\n' "$*" >&2
    exit 1
}

case ${1:-} in
    "" | -h | --help) sed -n '2,10s/^# \{0,1\}//p' "$0" && exit 0 ;;
    -*) stop "there is no option $1; --help says what it takes" ;;
esac
out=$1
mkdir -p "$out" || stop "$out cannot be made; name a folder that can"
out=$(cd "$out" && pwd)
command -v timeout >/dev/null 2>&1 || stop "timeout was not found; install GNU coreutils"
target=${CARGO_TARGET_DIR:-$PWD/target}
wgrad=${WGRAD:-$target/release/wgrad}
where=(--device "${DEVICE:-auto}" --backend "${BACKEND:-auto}")
python=${PYTHON:-python3}

started=$SECONDS
# What all stages together may take.
budget=530
results=()

# stage FILE SECONDS COMMAND…: its stdout to the file, its stderr beside it.
stage() {
    local file=$1 limit=$2 begun=$SECONDS left code
    shift 2
    left=$((budget - (SECONDS - started)))
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -lt 3 ]; then
        results+=("$file|not run: the time is used up")
        return
    fi
    printf '== %-18s at most %3d s: %s\n' "$file" "$limit" "$*"
    timeout --kill-after=5 "$limit" "$@" >"$out/$file" 2>"$out/$file.log"
    code=$?
    local took="$((SECONDS - begun)) s"
    case $code in
        0) results+=("$file|passed in $took") ;;
        124 | 137) results+=("$file|FAILED: stopped after $took") ;;
        *) results+=("$file|FAILED in $took, exit code $code: $(tail -n 1 "$out/$file.log")") ;;
    esac
    [ -s "$out/$file.log" ] || rm -f "$out/$file.log"
}

skip() { results+=("$1|not run: $2"); }

if [ -x "$wgrad" ]; then
    skip build.txt "$wgrad was there"
else
    command -v cargo >/dev/null 2>&1 || stop "neither $wgrad nor cargo was found; install Rust from https://rustup.rs, or set WGRAD"
    # Compiling is no measurement: it has a limit of its own and is not counted.
    budget=1200
    stage build.txt 900 cargo build --release
    started=$SECONDS
    budget=530
    [ -x "$wgrad" ] || stop "wgrad could not be built; see $out/build.txt.log"
fi

{
    date -u
    uname -a
    nproc 2>/dev/null
    sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -1
    git log -1 --format='%h %s' 2>/dev/null
    command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi
    command -v vulkaninfo >/dev/null 2>&1 && vulkaninfo --summary
} >"$out/machine.txt" 2>&1

# The least that must be known comes first, and what may take long comes last.
stage devices.jsonl 20 "$wgrad" devices --json
stage reference.jsonl 40 "$wgrad" bench "${where[@]}" --json --seconds 1 --workload 'reference' --workload 'reference/*'
stage verify.jsonl 90 "$wgrad" verify "${where[@]}" --json
stage bench.jsonl 150 "$wgrad" bench "${where[@]}" --json --seconds 0.25 --html "$out/bench.html"
if "$wgrad" profile --help >/dev/null 2>&1; then
    stage profile.txt 45 "$wgrad" profile reference "${where[@]}"
else
    skip profile.txt "this wgrad has no command profile"
fi
stage train.jsonl 70 "$wgrad" train "${where[@]}" --json --overwrite --out "$out/run"
for batch in 128 256 512; do
    stage "batch$batch.jsonl" 15 "$wgrad" bench "${where[@]}" --json --seconds 0.5 --workload reference --batch "$batch"
done
if command -v "$python" >/dev/null 2>&1 && "$python" -c 'import torch' >/dev/null 2>&1; then
    stage pytorch.jsonl 60 "$python" benches/peers/pytorch.py --seconds 0.5 --mode eager --mode graphs
    stage pytorch_compiled.jsonl 60 "$python" benches/peers/pytorch.py --seconds 0.5 --mode compile --layout first
    # The same two once more, one after the other: whether the machine was as fast at the end as in the beginning.
    stage reference_again.jsonl 25 "$wgrad" bench "${where[@]}" --json --seconds 1 --workload reference
else
    skip pytorch.jsonl "$python has no PyTorch; PYTHON names another one"
fi

number() { sed -n "s/.*\"$2\": *\([-0-9.eE+]*\).*/\1/p" "$out/$1" 2>/dev/null | tail -n 1; }

summary() {
    printf 'reference network, batch 64: %s ms a step, %s images/s\n' \
        "$(grep '"workload": *"reference",' "$out/reference.jsonl" 2>/dev/null | sed -n 's/.*"ms_per_step":\([0-9.eE+-]*\).*/\1/p' | head -n 1)" \
        "$(grep '"workload": *"reference",' "$out/reference.jsonl" 2>/dev/null | sed -n 's/.*"images_per_second":\([0-9.eE+-]*\).*/\1/p' | head -n 1)"
    printf 'roofs: %s GFLOP/s, %s GB/s\n' "$(number reference.jsonl roof_gflops)" "$(number reference.jsonl roof_gb_s)"
    printf 'PyTorch: '
    sed -n 's/.*"workload": *"reference",.*"variant": *"\([^"]*\)".*"ms": *\([0-9.eE+-]*\).*/\1 \2 ms; /p' "$out/pytorch.jsonl" "$out/pytorch_compiled.jsonl" 2>/dev/null | tr -d '\n'
    printf '\naccuracy after training: %s\n\n' "$(number train.jsonl test_accuracy)"
    local result
    for result in "${results[@]}"; do
        printf '%-24s %s\n' "${result%%|*}" "${result#*|}"
    done
    printf '%-24s %s\n' "all together" "$((SECONDS - started)) s"
}

summary | tee "$out/summary.txt"
case "${results[*]}" in *FAILED*) exit 1 ;; esac
