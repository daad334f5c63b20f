#!/bin/bash
# Train and score what bench/grids/methods.toml compares, and methods that rank over layers beside it.
#     results/methods/make.sh DATA STORE [MORE OPTIONS]
# DATA holds train/ and test/ of CIFAR-10 (the JPEG q75 copy). Every fifth training image is used, through links in
# STORE-fifth, so that two cores are done in an evening. Interrupt it at will: it goes on from STORE. A file that is
# there is not made again. With SEEDS it stops after the runs of these seeds, so that two processes of a core each, which
# are faster than one of two, can share the work (SEEDS=0 taskset -c 0 …, SEEDS=1 taskset -c 1 …).
set -euo pipefail
cd "$(dirname "$0")/../.."
data=$1 store=$2
shift 2
few=$store-fifth
if [ ! -e "$few/test" ]; then
    for class in "$data"/train/*/; do
        mkdir -p "$few/train/$(basename "$class")"
        find "$(realpath "$class")" -name "*.jpg" | sort | awk "NR % 5 == 1" |
            xargs ln -sf -t "$few/train/$(basename "$class")"
    done
    ln -sfn "$(realpath "$data/test")" "$few/test"
fi
run() {
    local file=results/methods/$1.json
    shift
    [ -e "$file" ] && return
    pytest bench/test_cost.py bench/test_accuracy.py -q --grid methods --dataset "folder:$few" --store "$store" \
        --benchmark-json "$file" "$@"
}
for seed in ${SEEDS:-0 1 2}; do
    run "seed$seed" --seeds "$seed" "$@"
done
[ -n "${SEEDS:-}" ] && exit
run global --scope global --method magnitude,lamp,taylor,random "$@"  # all seeds: a ratio for a target
together=$(mktemp -d)
trap 'rm -r "$together"' EXIT
python - "$together/run.json" results/methods/seed?.json <<'END'
import json, sys
first, *others = (json.load(open(path)) for path in sys.argv[2:])
first["benchmarks"] += [entry for other in others for entry in other["benchmarks"]]
json.dump(first, open(sys.argv[1], "w"))
END
pruning-bench report "$together/run.json" results/methods/global.json --format markdown \
    --dataset-title "folder=a fifth of CIFAR-10 (JPEG q75 copy)" -o results/methods/report.md
