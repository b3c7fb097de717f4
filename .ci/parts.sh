# Sourced by the checks: parts with a name, what each took, what was skipped.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Every part builds from scratch: what a second build would be quicker by is never used, and fills the disk.
export CARGO_INCREMENTAL=0

log=$(mktemp)
trap 'rm -f "$log"' EXIT
taken=()
failed=()

# part NAME COMMAND...: runs the command, and says how long it took. A part that fails does not keep the others from running.
part() {
    local name=$1 started=$SECONDS before
    shift
    printf '\n== %s\n' "$name"
    count_cpu_seconds
    before=$cpu_seconds
    set +e
    (set -e && "$@") 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$name")
    set -e
    count_cpu_seconds
    taken+=("$(printf '%-44s %6.1f min %8.1f CPU min' "$name" \
        "$(minutes $((SECONDS - started)))" "$(minutes $((cpu_seconds - before)))")")
    # Also here: a check that is broken off has told what it took so far.
    printf '%s\n' "${taken[-1]}"
}

skip() { printf 'SKIPPED %s\n' "$*"; }

# Sets cpu_seconds to those of all that has ended so far, the children of this shell. Not for a subshell, which has its own.
count_cpu_seconds() {
    # The last line of `times` is theirs: user and system, as 12m3.456s.
    times >"$log.times"
    cpu_seconds=$(awk 'END { for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sum += 60 * t[1] + t[2] } printf "%d", sum }' "$log.times")
    rm -f "$log.times"
}

minutes() { awk -v seconds="$1" 'BEGIN { printf "%.1f", seconds / 60 }'; }

finish() {
    count_cpu_seconds
    printf '\n== Skipped\n'
    grep -a '^SKIPPED' "$log" | sort -u || echo "nothing"
    printf '\n== Disk\n'
    du -sh target
    df -h . | tail -1
    printf '\n== Taken\n'
    printf '%s\n' "${taken[@]}" "$(printf '%-44s %6.1f min %8.1f CPU min' all "$(minutes $SECONDS)" "$(minutes "$cpu_seconds")")"
    if [ ${#failed[@]} -gt 0 ]; then
        printf '\n== Failed\n'
        printf '%s\n' "${failed[@]}"
        exit 1
    fi
}

# Debian packages, as far as they can be had here.
install() {
    [ "$(id -u)" = 0 ] || return 0
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends "$@"; } >/dev/null 2>&1 || true
}
