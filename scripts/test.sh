#!/usr/bin/env bash
# The test command: formatting, lints, documentation, and every test, with the shaders running on an adapter.
#
#   scripts/test.sh                             installs a software Vulkan driver first where there is no adapter
#   WGRAD_TEST_SKIP_INSTALL=1 scripts/test.sh   installs nothing; without an adapter the tests that need one are skipped
#
# Ends with a table of what ran. The exit code is 0 only if nothing failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf '\n== %s\n' "$*"; }

stop() {
    printf 'scripts/test.sh: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

has cargo || stop "cargo was not found; install Rust from https://rustup.rs"

# Prints the adapters that the program itself finds, a line of JSON each; that there is none is no failure here.
adapters() { { cargo run --quiet -- devices --json || true; } | grep -E '"backend": *"(vulkan|metal|dx12)"' || true; }

# Sets `elevate` to what makes a command run as root; fails where that is not possible.
elevate=()
may_install() {
    [ "$(id -u)" -eq 0 ] && return 0
    has sudo || return 1
    # Without a terminal nobody can type a password.
    [ -t 0 ] || sudo -n true 2>/dev/null || return 1
    elevate=(sudo)
}

as_root() {
    printf '+ %s\n' "${elevate[*]:+${elevate[*]} }$*"
    ${elevate[@]+"${elevate[@]}"} "$@"
}

install_driver() {
    local manual
    case "$(uname -s)" in
        Linux) ;;
        Darwin) stop "no adapter was found. macOS has one, Metal, on every Mac, but not in every virtual machine: run this on a machine with Metal" ;;
        *) stop "no adapter was found. Install your graphics card's driver (on Windows it brings DX12 and Vulkan), or run the tests without an adapter: WGRAD_TEST_SKIP_INSTALL=1 scripts/test.sh" ;;
    esac
    if has apt-get; then
        manual="apt-get update && apt-get install -y libvulkan1 mesa-vulkan-drivers"
    elif has dnf; then
        manual="dnf install -y vulkan-loader mesa-vulkan-drivers"
    elif has pacman; then
        manual="pacman -Sy --needed vulkan-icd-loader vulkan-swrast"
    else
        stop "no adapter was found, and no package manager that this script knows (apt-get, dnf, pacman). Install the Vulkan loader and Mesa's software driver (lavapipe), usually packaged as vulkan-loader and mesa-vulkan-drivers, and run this again"
    fi
    may_install || stop "no adapter was found, and installing a driver needs root. Run this as root, then start again: $manual"
    say "No adapter was found. Installing Mesa's software Vulkan driver: $manual"
    if has apt-get; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers
    elif has dnf; then
        as_root dnf install -y vulkan-loader mesa-vulkan-drivers
    else
        as_root pacman -Sy --needed --noconfirm vulkan-icd-loader vulkan-swrast
    fi
}

say "Building, and looking for an adapter"
cargo build
found=$(adapters)
if [ -z "$found" ] && [ "${WGRAD_TEST_SKIP_INSTALL:-0}" != 1 ]; then
    install_driver
    found=$(adapters)
    [ -n "$found" ] || stop "the driver was installed, but the program still finds no adapter; see what \`cargo run -- devices\` says"
fi
if [ -n "$found" ]; then
    export WGRAD_REQUIRE_GPU=1
    names=$(grep -Eo '"name": *"[^"]*"' <<<"$found" | cut -d'"' -f4)
    echo "found: ${names//$'\n'/, }"
else
    unset WGRAD_REQUIRE_GPU
    echo "none: the tests that need one are skipped"
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
results=()

# Runs a step and notes how it ended; a failure does not keep the next step from running.
step() {
    local name=$1
    shift
    say "$*"
    if "$@"; then
        results+=("$name|passed")
    else
        results+=("$name|FAILED")
        failed=1
    fi
}

# Cargo and the tests write to one pipe, so that the log has them in order.
tests() { cargo test --no-fail-fast --color never -- --show-output --color never 2>&1 | tee "$log"; }

step "cargo fmt --check" cargo fmt --check
step "cargo clippy --all-targets" cargo clippy --all-targets -- -D warnings
step "cargo doc" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib
step "cargo test" tests

say "Summary"
for result in "${results[@]}"; do
    printf '%-34s %s\n' "${result%|*}" "${result#*|}"
done
# One row for each test binary: what its tests did, and how many said that they skipped something.
awk '
    function row() {
        if (name != "") printf "%-34s %7d %7d %7d %7d\n", name, passed, failed, ignored, skipped
        passed = failed = ignored = skipped = 0
    }
    BEGIN { printf "\n%-34s %7s %7s %7s %7s\n", "tests", "passed", "failed", "ignored", "skipped" }
    $1 == "Running" { row(); name = $2 == "unittests" ? $3 " (unit tests)" : $2 }
    $1 == "Doc-tests" { row(); name = "documentation" }
    /^test result:/ { passed += $4; failed += $6; ignored += $8 }
    /^skipped:/ { skipped++ }
    END { row() }
' "$log"
if grep -q '^skipped:' "$log"; then
    printf '\nskipped, because:\n'
    grep '^skipped:' "$log" | sort | uniq -c
fi
[ "$failed" -eq 0 ] || stop "something failed; see above"
printf '\nEverything passed.\n'
