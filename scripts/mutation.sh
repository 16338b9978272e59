#!/usr/bin/env bash
# The proof that the proof bites: makes every shader wrong, one token at a time, and lets `wgrad verify` look for it.
#
#   scripts/mutation.sh                       every shader (the better part of an hour on two cores)
#   scripts/mutation.sh pool2d.wgsl ...       these shaders, by their paths below shaders/
#   MUTATION_SHARD=0/4 scripts/mutation.sh    every fourth mutant
#
#   MUTATION_KNOWN=1 scripts/mutation.sh      asks nothing, and reports what is known
#
# What is known is kept below target/mutation: a run that was interrupted goes on where it was, and a later one asks only what
# changed, and survivors again when the program changed. The report with every survivor is target/mutation/report.md. The exit
# code is 0 only if every mutant that is not listed in tests/mutation/equivalent.toml was found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ $# -gt 0 ]; then
    export MUTATION_FILES="$*"
fi
exec cargo test --test mutation -- --ignored --nocapture every_mutant_is_killed
