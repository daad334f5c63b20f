#!/bin/bash
# Train and score what bench/grids/methods.toml compares, and methods that rank over layers beside it.
#     results/methods/make.sh DATA STORE [MORE OPTIONS]
# DATA holds train/ and test/ of CIFAR-10 (the JPEG q75 copy). Interrupt it at will: it goes on from STORE.
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$1 store=$2
shift 2
run() {
    local name=$1
    shift
    pytest bench/test_cost.py bench/test_accuracy.py -q --grid methods --dataset "folder:$data" --store "$store" \
        --benchmark-json "results/methods/$name.json" "$@"
}
run run "$@"
run global --scope global --method magnitude,lamp,taylor,random,scratch:lamp "$@"
pruning-bench report results/methods/run.json results/methods/global.json --format markdown -o results/methods/report.md
