#!/bin/bash
# All that a GPU has to do here, offline: its tests, latencies, training steps, and the grid `converged`.
#
#     results/gpu/make.sh [--small]
#
# --small runs all of it on the CPU in minutes: one epoch each, few images. What is read and written, set by variables:
#   DATA    cifar10-jpeg.tar.xz (default: .gpu/cifar10-jpeg.tar.xz)
#   WHEELS  folder of wheels that the machine lacks (default: .gpu/wheels; none: nothing is installed)
#   BACK    what an earlier call left in OUT (default: .gpu/back; none: all is begun)
#   OUT     gets log.txt, runs.tar.gz (JSON files) and store.tar.aa, … of 15 MB at most (default: results/gpu/out)
#   LIMIT_S seconds for all of it (default: 720, small: 7200); each part has a limit of its own besides
#   SEED    of training (default: 0)
# A part that ended is not begun again; `converged` goes on from its checkpoints, and from epochs in between.
set -u
cd "$(dirname "$0")/../.." || exit 1
SMALL=0 SLOWER=1
case "${1:-}" in
    --small) SMALL=1 SLOWER=10 ;;  # a CPU that others use, too
    "") ;;
    *) echo "usage: results/gpu/make.sh [--small]" >&2; exit 2 ;;
esac
DATA=${DATA:-.gpu/cifar10-jpeg.tar.xz} WHEELS=${WHEELS:-.gpu/wheels} BACK=${BACK:-.gpu/back}
OUT=${OUT:-results/gpu/out} LIMIT_S=${LIMIT_S:-$((720 * SLOWER))} SEED=${SEED:-0}
PIECE_BYTES=15000000 PACK_S=15
[ -f "$DATA" ] || { echo "error: no archive $DATA; set DATA to cifar10-jpeg.tar.xz" >&2; exit 2; }
mkdir -p "$OUT" || exit 1
WORK=$(mktemp -d "${TMPDIR:-/tmp}/pruning-bench-gpu.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
# Of QUICK, what the latency suites train in seconds, nothing comes back: OUT has not the room.
RUNS=$WORK/runs STORE=$WORK/store QUICK=$WORK/quick IMAGES=$WORK/cifar10
mkdir -p "$RUNS" "$STORE" "$QUICK" "$IMAGES"
FAILED=0
say() { echo "[$SECONDS s] $*" | tee -a "$OUT/log.txt"; }

if [ -d "$WHEELS" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$WORK/site" "$WHEELS"/*.whl \
        >>"$OUT/log.txt" 2>&1 || exit 1
    export PYTHONPATH="$WORK/site:${PYTHONPATH:-}"
fi
export PYTHONPATH="$PWD:$PWD/results/sparse:${PYTHONPATH:-}" PYTHONUNBUFFERED=1
[ -f "$BACK/runs.tar.gz" ] && tar -xzf "$BACK/runs.tar.gz" -C "$RUNS"
ls "$BACK"/store.tar.* >/dev/null 2>&1 && cat "$BACK"/store.tar.* | tar -xf - -C "$STORE"

# Leave what there is so far in OUT: whole, or not at all.
pack() {
    tar -czf "$WORK/runs.tar.gz" -C "$RUNS" . && mv "$WORK/runs.tar.gz" "$OUT/runs.tar.gz"
    rm -rf "$WORK/pieces" && mkdir "$WORK/pieces"
    # The pixels are read again from DATA.
    tar -cf - --exclude=./datasets -C "$STORE" . | split -b "$PIECE_BYTES" - "$WORK/pieces/store.tar."
    rm -f "$OUT"/store.tar.* && mv "$WORK/pieces"/store.tar.* "$OUT/"
}

# part NAME LIMIT COMMAND…: run a command once, for so many seconds at most, and keep that it ended.
part() {
    local name=$1 limit=$(($2 * SLOWER)) begun=$SECONDS left=$((LIMIT_S - SECONDS - PACK_S)) rc
    shift 2
    [ -e "$RUNS/$name.done" ] && { say "$name: done before"; return 0; }
    [ "$limit" -gt "$left" ] && limit=$left
    [ "$limit" -lt 5 ] && { say "$name: no time left"; FAILED=1; return 1; }
    timeout --signal=TERM --kill-after=10 "$limit" "$@" >>"$OUT/log.txt" 2>&1
    rc=$?
    say "$name: $((SECONDS - begun)) s, exit code $rc"
    [ "$rc" -le 1 ] && touch "$RUNS/$name.done"  # 1: a test failed, the file is there
    [ "$rc" -eq 0 ] || FAILED=1
    pack
    return "$rc"
}

suite() {  # NAME LIMIT STORE FILES… -- OPTIONS…
    local name=$1 limit=$2 store=$3 files=()
    shift 3
    while [ "$1" != -- ]; do files+=("bench/test_$1.py"); shift; done
    shift
    part "$name" "$limit" python3 -m pytest "${files[@]}" -q -p no:cacheprovider --store "$store" \
        --thresholds "$WORK/thresholds.toml" --benchmark-json "$RUNS/$name.json" "$@"
}

cp bench/grids/converged.toml results/gpu/latency.toml results/gpu/sparse24.toml "$WORK/"
: >"$WORK/thresholds.toml"  # figures are wanted, not verdicts
DEVICE=(--devices cuda) FEW=() STEPS=(--model "resnet18,resnet20") THREADS=()
if [ "$SMALL" -eq 1 ]; then
    tar -xJf "$DATA" -C "$IMAGES" --wildcards '*/000[0-7].jpg' || exit 1
    # One thread: where others use the cores too, two wait for each other longer than they compute.
    DEVICE=(--devices cpu) FEW=(--batch-sizes 2) STEPS=(--model resnet20) THREADS=(--threads 1)
    short='epochs = 1\nbatch_size = 32\n'
    for grid in converged latency sparse24; do
        printf '\n[train]\n%b\n[fine_tune]\n%b' "$short" "$short" >>"$WORK/$grid.toml"
        sed -i 's/^budget_s = .*/budget_s = 0.1\nmin_rounds = 5\nmax_rounds = 5\nwarmup_ms = 10.0/; s/"resnet18"/"resnet20"/' "$WORK/$grid.toml"
        sed -i 's/"\(compile\|eager\):bf16", //g; s/^ratios = .*/ratios = [0.5]/' "$WORK/$grid.toml"
    done
else
    tar -xJf "$DATA" -C "$IMAGES" || exit 1
fi
LONG=(--grid "$WORK/converged.toml" --dataset "folder:$IMAGES" --seed "$SEED" "${THREADS[@]}")

# shellcheck disable=SC2046  # names of tests, without spaces
part tests 60 python3 -m pytest -m gpu -q -p no:cacheprovider $(grep -rl 'mark\.gpu' tests)
suite training 45 "$STORE" training -- "${LONG[@]}" "${STEPS[@]}"
for backend in eager cudagraph compile tensorrt; do
    limit=45
    [ "$backend" = compile ] && limit=100
    suite "latency-$backend" "$limit" "$QUICK" latency -- --grid "$WORK/latency.toml" -k "$backend" \
        "${DEVICE[@]}" "${FEW[@]}" "${THREADS[@]}"
done
suite sparse24 30 "$QUICK" latency -- --grid "$WORK/sparse24.toml" "${DEVICE[@]}" "${FEW[@]}" "${THREADS[@]}"
part converged-checkpoints 540 python3 -m pruning_core prepare "${LONG[@]}" --store "$STORE" &&
    suite converged 60 "$STORE" cost accuracy -- "${LONG[@]}" "${DEVICE[@]}"
pack
say "all of it: $SECONDS s; left in $OUT: $(cd "$OUT" && ls | tr '\n' ' ')"
exit "$FAILED"
