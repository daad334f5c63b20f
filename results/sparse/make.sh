#!/bin/sh
# Masked weights executed sparsely, in pairs with the dense network: trains, measures, writes run.json and report.md here.
# What is trained is kept in the store: the same command again only measures. More options go to pytest (--store DIR).
set -eu
cd "$(dirname "$0")/../.."
export PYTHONPATH="results/sparse:.${PYTHONPATH:+:$PYTHONPATH}"
python -m pytest bench/test_cost.py bench/test_accuracy.py bench/test_latency.py \
    --grid results/sparse/sparse.toml --benchmark-json results/sparse/run.json "$@"
python -m pruning_core report results/sparse/run.json --format markdown -o results/sparse/report.md
