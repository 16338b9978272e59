#!/usr/bin/env bash
# wgrad beside other engines on this machine: the same workloads, one engine after the other, round by round (A B C A B C …), so that
# a machine that is busy now and then is busy for all of them. Writes a table of ratios with a description of the machine.
#
#   scripts/bench-peers.sh                        5 rounds of everything that is installed; the table goes to stdout
#   scripts/bench-peers.sh --out peers.md         the table to a file, and all rows beside it in peers.jsonl
#   scripts/bench-peers.sh --rounds 9 --seconds 2
#   scripts/bench-peers.sh --modes "eager compile"    PyTorch compiled too (graphs on CUDA); eager alone otherwise
#   scripts/bench-peers.sh --build-burn           build benches/peers/burn first (minutes); later runs then take it along
#
# PYTHON names the Python whose PyTorch is used, WGRAD the wgrad to measure instead of one that is built first. Environment variables of drivers (LP_NATIVE_VECTOR_WIDTH, VK_ICD_FILENAMES …) and of
# threads (OMP_NUM_THREADS) reach every engine; the table says which of them are set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stop() {
    printf 'scripts/bench-peers.sh: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

rounds=5 seconds=1 out="" build_burn=0 modes="eager"
while [ $# -gt 0 ]; do
    case $1 in
        --rounds | --seconds | --out | --modes)
            [ $# -ge 2 ] || stop "$1 needs a value"
            case $1 in
                --rounds) rounds=$2 ;;
                --seconds) seconds=$2 ;;
                --out) out=$2 ;;
                --modes) modes=$2 ;;
            esac
            shift 2
            ;;
        --build-burn) build_burn=1 && shift ;;
        -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0" && exit 0 ;;
        *) stop "there is no option $1; --help lists them" ;;
    esac
done
[[ $rounds =~ ^[0-9]+$ && $rounds -ge 1 ]] || stop "--rounds $rounds must be a whole number of at least 1"
[[ $seconds =~ ^[0-9]*\.?[0-9]+$ ]] || stop "--seconds $seconds must be a number above 0"
[ -n "${WGRAD:-}" ] || has cargo || stop "cargo was not found; install Rust from https://rustup.rs"

target=${CARGO_TARGET_DIR:-$PWD/target}
wgrad=${WGRAD:-$target/release/wgrad}
[ -n "${WGRAD:-}" ] || cargo build --release --quiet
[ -x "$wgrad" ] || stop "$wgrad is no program; WGRAD names the wgrad to measure, and without it one is built"
burn=$target/peers/release/wgrad-peer-burn
if [ "$build_burn" = 1 ]; then
    CARGO_TARGET_DIR=$target/peers cargo build --release --manifest-path benches/peers/burn/Cargo.toml
fi
python=${PYTHON:-python3}

engines=(wgrad)
missing=()
if has "$python" && "$python" -c 'import torch' >/dev/null 2>&1; then
    engines+=(pytorch)
else
    missing+=("PyTorch ($python has none; PYTHON names another one)")
fi
if [ -x "$burn" ]; then engines+=(burn); else missing+=("burn (--build-burn builds it)"); fi
[ ${#engines[@]} -gt 1 ] || stop "there is nothing to compare with: ${missing[*]}"

load() { uptime | sed 's/.*load average[s]*: *//; s/,.*//'; }
load_before=$(load)
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT

one() {
    case $1 in
        wgrad) "$wgrad" bench --json --seconds "$seconds" --workload reference --workload reference/conv2 ;;
        pytorch)
            local options=()
            for mode in $modes; do options+=(--mode "$mode"); done
            "$python" benches/peers/pytorch.py --seconds "$seconds" "${options[@]}"
            ;;
        burn) "$burn" "$seconds" ;;
    esac
}

for ((round = 1; round <= rounds; round++)); do
    for engine in "${engines[@]}"; do
        printf 'round %d of %d: %s\n' "$round" "$rounds" "$engine" >&2
        # A row says which engine it is of.
        one "$engine" 2>/dev/null | sed "s/^{/{\"engine\":\"$engine\",\"round\":$round,/" >>"$rows" ||
            printf 'round %d: %s failed\n' "$round" "$engine" >&2
    done
done

describe() {
    local processor memory
    if [ -r /proc/cpuinfo ]; then
        processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)
        memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
    else
        processor=$(sysctl -n machdep.cpu.brand_string 2>/dev/null || uname -p)
        memory=$(sysctl -n hw.memsize 2>/dev/null | awk '{ printf "%.0f GiB", $1 / 1073741824 }')
    fi
    printf -- '- %s, %s threads, %s, %s %s\n' "${processor:-unknown processor}" "$(getconf _NPROCESSORS_ONLN)" "$memory" "$(uname -s)" "$(uname -m)"
    "$wgrad" devices --json 2>/dev/null | sed -n 's/.*"name":"\([^"]*\)".*"backend":"\([^"]*\)","driver":"\([^"]*\)".*"auto":true.*/- wgrad on \1, \2, driver \3/p'
    sed -n 's/.*"peer": *"\([^"]*\)".*/- \1/p' "$rows" | sort -u
    local set=""
    for name in LP_NATIVE_VECTOR_WIDTH VK_ICD_FILENAMES VK_DRIVER_FILES OMP_NUM_THREADS CUBECL_WGPU_DEFAULT_DEVICE; do
        [ -z "${!name:-}" ] || set+=" $name=${!name##*/}"
    done
    printf -- '- environment:%s\n' "${set:- nothing set that matters}"
    printf -- '- load before and after: %s, %s\n' "$load_before" "$(load)"
    # The engines themselves are in the second figure, not in the first.
    awk -v load="$load_before" 'BEGIN { if (load + 0 > 0.5) print "- **something else was running: these ratios say little**" }'
    [ ${#missing[@]} -eq 0 ] || printf -- '- not installed: %s\n' "$(printf '%s; ' "${missing[@]}" | sed 's/; $//')"
}

# The median over the rounds of each engine's median, and its ratio to the best of wgrad's variants.
table() {
    awk '
        function word(key) {
            return match($0, "\"" key "\": *\"[^\"]*\"") ? value(key, "\"") : ""
        }
        function number(key) {
            return match($0, "\"" key "\": *[-+0-9.eE]+") ? value(key, "") : ""
        }
        function value(key, quote,    text) {
            text = substr($0, RSTART, RLENGTH)
            sub("^\"" key "\": *" quote, "", text)
            sub(quote "$", "", text)
            return text
        }
        function median(list,    times, count, i, j, swap) {
            count = split(list, times, " ")
            for (i = 2; i <= count; i++)
                for (j = i; j > 1 && times[j - 1] + 0 > times[j] + 0; j--) { swap = times[j]; times[j] = times[j - 1]; times[j - 1] = swap }
            least = times[1]
            most = times[count]
            return count % 2 ? times[(count + 1) / 2] : (times[count / 2] + times[count / 2 + 1]) / 2
        }
        {
            ms = number("ms")
            if (ms == "") next
            work = word("workload") " " word("direction")
            variant = word("variant")
            engine = word("engine")
            if (engine == "wgrad") variant = "wgrad " variant
            key = work SUBSEP variant
            if (!(work in known)) { known[work] = 1; works[++n] = work }
            if (!(key in all)) variants[work] = variants[work] "\n" variant
            all[key] = all[key] " " ms
            of[key] = engine
        }
        END {
            print "| workload | engine | ms, median of the rounds | least to most | times wgrad |"
            print "|---|---|---|---|---|"
            for (w = 1; w <= n; w++) {
                work = works[w]
                count = split(substr(variants[work], 2), names, "\n")
                best = 0
                others = 0
                for (i = 1; i <= count; i++) {
                    key = work SUBSEP names[i]
                    m[i] = median(all[key]); low[i] = least; high[i] = most
                    if (of[key] != "wgrad") others = 1
                    else if (!best || m[i] < best) best = m[i]
                }
                # What no other engine does is no comparison. The fastest comes first.
                for (shown = 0; others && shown < count; shown++) {
                    next_one = 0
                    for (i = 1; i <= count; i++)
                        if (m[i] != "" && (!next_one || m[i] < m[next_one])) next_one = i
                    i = next_one
                    printf "| %s | %s | %.3g | %.3g to %.3g | %s |\n", work, names[i], m[i], low[i], high[i], best ? sprintf("%.2f", m[i] / best) : "–"
                    m[i] = ""
                }
            }
        }' "$rows"
}

report() {
    printf '# wgrad beside its peers\n\n%s, %s rounds of %s s for each row, alternating; single precision.\n' "$(date -u +%Y-%m-%d)" "$rounds" "$seconds"
    printf '"times wgrad" is the time over that of the best wgrad variant: above 1, wgrad is faster.\n\n'
    describe
    printf '\n'
    table
}

[ -s "$rows" ] || stop "no engine gave a row"
if [ -n "$out" ]; then
    report >"$out"
    cp "$rows" "${out%.md}.jsonl"
    printf 'wrote %s and %s\n' "$out" "${out%.md}.jsonl" >&2
else
    report
fi
