#!/usr/bin/env bash
# Every kernel through compilers, drivers and WebGPU implementations other than the one at hand:
#
#   naga     lints, and writes every kernel in SPIR-V, MSL, HLSL and GLSL
#   spirv-val, DXC, glslang    compile what naga wrote
#   Tint     Chrome's WGSL compiler validates every program
#   Dawn     Chrome's WebGPU runs every case on SwiftShader, and must agree with the float64 reference
#   wgrad    runs the standard sweep on SwiftShader, a second software Vulkan driver
#
#   scripts/cross-check.sh                              installs what is missing (as root, or through sudo)
#   WGRAD_CROSS_CHECK_SKIP_INSTALL=1 scripts/cross-check.sh   installs nothing; what cannot be had is listed as not run
#
# Downloads are kept in target/cross-check. Ends with a table. The exit code is 0 only if everything that could run passed;
# what could not run is named with its reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache=$PWD/target/cross-check
mkdir -p "$cache"

say() { printf '\n== %s\n' "$*"; }

stop() {
    printf 'scripts/cross-check.sh: %s\n' "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

has cargo || stop "cargo was not found; install Rust from https://rustup.rs"

# Sets `elevate` to what makes a command run as root; fails where that is not possible.
elevate=()
may_install() {
    [ "${WGRAD_CROSS_CHECK_SKIP_INSTALL:-0}" != 1 ] || return 1
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

# Installs packages of the system; fails, with a line, where that cannot be done.
install() {
    if ! has apt-get || ! may_install; then
        echo "not installed: $* (this needs apt-get and root)"
        return 1
    fi
    say "Installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        { as_root apt-get update && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
}

# Whether downloads are allowed.
may_download() { [ "${WGRAD_CROSS_CHECK_SKIP_INSTALL:-0}" != 1 ]; }

failed=0
results=()

note() { results+=("$1|$2|$3"); }

# Runs a step, keeps its output, and notes how it ended with the last line it said.
step() {
    local name=$1 log
    shift
    say "$name: $*"
    log=$(mktemp)
    local begun=$SECONDS ended=passed
    "$@" >"$log" 2>&1 || ended=FAILED
    [ "$ended" = passed ] || failed=1
    if [ "$ended" = FAILED ]; then tail -n 200 "$log"; else tail -n 3 "$log"; fi
    note "$name" "$ended" "$(grep -E '^(summary: |suite |[0-9]+ of|test result:)|^verified ' "$log" | tail -n 1 | sed 's/^summary: //'), $((SECONDS - begun)) s"
    rm -f "$log"
}

skip() {
    say "$1: not run ($2)"
    note "$1" "not run" "$2"
}

# Prints SwiftShader's driver description: the one that Chromium brings.
swiftshader() {
    local icd
    for icd in "${WGRAD_SWIFTSHADER_ICD:-}" /usr/lib/chromium/vk_swiftshader_icd.json /usr/lib/chromium-browser/vk_swiftshader_icd.json \
        /opt/google/chrome/vk_swiftshader_icd.json; do
        if [ -n "$icd" ] && [ -f "$icd" ]; then
            echo "$icd"
            return 0
        fi
    done
    return 1
}

# --- naga ---------------------------------------------------------------------------------------------------------------
translations=$cache/translations
suite=$cache/suite
rm -rf "$translations" "$suite"
step "lints and translation by naga" env WGRAD_TRANSLATIONS="$translations" cargo test --test portability
step "conformance suite" cargo run --release -- verify --export "$suite"

# --- the compilers of other backends --------------------------------------------------------------------------------------
each_spirv() {
    local file count=0 bad=0
    for file in "$translations"/*.spv; do
        count=$((count + 1))
        spirv-val --target-env vulkan1.1 "$file" || { bad=$((bad + 1)); echo "FAILED $file"; }
    done
    echo "$((count - bad)) of $count files valid"
    [ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
}
if has spirv-val || install spirv-tools; then
    step "SPIR-V by spirv-val" each_spirv
else
    skip "SPIR-V by spirv-val" "there is no spirv-val; Debian and Ubuntu: apt-get install spirv-tools"
fi

each_glsl() {
    local file count=0 bad=0
    for file in "$translations"/*.comp; do
        count=$((count + 1))
        glslangValidator -S comp "$file" >"$cache/glslang.log" || { bad=$((bad + 1)); echo "FAILED $file"; cat "$cache/glslang.log"; }
    done
    echo "$((count - bad)) of $count files valid"
    [ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
}
if has glslangValidator || install glslang-tools; then
    step "GLSL by glslang" each_glsl
else
    skip "GLSL by glslang" "there is no glslangValidator; Debian and Ubuntu: apt-get install glslang-tools"
fi

# DXC on the path, or the library inside a Python package, driven by scripts/cross-check/dxc.cpp.
dxc_package=compushady-0.17.5
dxc_hash=5052caf9e955d8e7a48e22f536e82b44b72e83af46e824a9e99157c7809de691
fetch_dxc() {
    local folder=$cache/dxc library header
    library=libdxcompiler_$(uname -m).so.3.7
    mkdir -p "$folder"
    if [ ! -x "$folder/dxc" ]; then
        has g++ || install g++ || return 1
        if [ ! -f "$folder/$dxc_package.tar.gz" ]; then
            may_download && has pip3 || return 1
            say "Downloading $dxc_package from the Python package index, for the DXC library in it"
            pip3 download --quiet --no-deps --no-binary "${dxc_package%-*}" --dest "$folder" "${dxc_package/-/==}" || return 1
        fi
        echo "$dxc_hash  $folder/$dxc_package.tar.gz" | sha256sum --check --quiet || return 1
        for header in dxcapi.h WinAdapter.h "$library"; do
            tar -xzf "$folder/$dxc_package.tar.gz" -C "$folder" --strip-components=3 "$dxc_package/compushady/backends/$header" || return 1
        done
        g++ -std=c++17 -w -I"$folder" scripts/cross-check/dxc.cpp -o "$folder/dxc" -ldl || return 1
    fi
    dxc=("$folder/dxc" "$folder/$library")
}
each_hlsl() {
    if [ "${#dxc[@]}" -eq 2 ]; then
        "${dxc[@]}" cs_6_0 "$translations"/*.6_0.hlsl
        return
    fi
    local file count=0 bad=0
    for file in "$translations"/*.6_0.hlsl; do
        count=$((count + 1))
        "${dxc[@]}" -T cs_6_0 -E "$(sed -n '1s#^// entry ##p' "$file")" "$file" -Fo /dev/null || { bad=$((bad + 1)); echo "FAILED $file"; }
    done
    echo "$((count - bad)) of $count files compiled"
    [ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
}
dxc=()
if has dxc; then
    dxc=(dxc)
elif [ "$(uname -s)" = Linux ]; then
    fetch_dxc || dxc=()
fi
if [ "${#dxc[@]}" -gt 0 ]; then
    step "HLSL by DXC" each_hlsl
else
    skip "HLSL by DXC" "there is no dxc on the path, and its library could not be downloaded or built"
fi
skip "HLSL by FXC" "it runs on Windows alone; the lint stands in for it"
skip "MSL by Metal's compiler" "it runs on macOS alone"

# --- Dawn ---------------------------------------------------------------------------------------------------------------
modules=$cache/npm/node_modules
fetch_dawn() {
    [ -d "$modules/webgpu" ] && return 0
    may_download && has npm || return 1
    say "Downloading the npm package webgpu (Dawn)"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$cache/npm" webgpu@0.6.2
}
dawn() { env WGRAD_NODE_MODULES="$modules" "$@"; }
icd=$(swiftshader) || { install chromium libgtk-3-0 && icd=$(swiftshader); } || icd=
no_swiftshader="there is no SwiftShader; Debian: apt-get install chromium; elsewhere name its driver description in WGRAD_SWIFTSHADER_ICD"
if ! has node; then
    skip "WGSL by Tint" "there is no node; install Node.js 20 or newer with npm"
    skip "cases on Dawn and SwiftShader" "there is no node; install Node.js 20 or newer with npm"
elif ! fetch_dawn; then
    skip "WGSL by Tint" "the npm package webgpu could not be downloaded"
    skip "cases on Dawn and SwiftShader" "the npm package webgpu could not be downloaded"
else
    step "WGSL by Tint" dawn node scripts/cross-check/run.mjs validate "$suite"
    if [ -n "$icd" ]; then
        step "cases on Dawn and SwiftShader" dawn env VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd" \
            node scripts/cross-check/run.mjs run "$suite"
    else
        skip "cases on Dawn and SwiftShader" "$no_swiftshader"
    fi
fi

# --- wgpu on SwiftShader --------------------------------------------------------------------------------------------------
if [ -n "$icd" ]; then
    step "sweep on wgpu and SwiftShader" env VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd" \
        cargo run --release -- verify --device swiftshader
else
    skip "sweep on wgpu and SwiftShader" "$no_swiftshader"
fi

say "Summary"
for result in "${results[@]}"; do
    IFS='|' read -r name ended detail <<<"$result"
    printf '%-36s %-8s %s\n' "$name" "$ended" "$detail"
done
[ "$failed" -eq 0 ] || stop "something failed; see above"
printf '\nEverything that could run passed.\n'
