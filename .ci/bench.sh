# Sourced by ./check for one function, bench: measures, with wrk and the yardstick where they can be had. Root gets wrk
# from Debian; the yardstick is locked in bench/yardstick and needs npm. Without them the table says what is missing.

bench() {
    if ! command -v wrk >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends wrk; } \
            >/dev/null 2>&1 || echo "No wrk." >&2
    fi
    npm_packages bench/yardstick .detent/yardstick >&2 || echo "No yardstick." >&2
    local faster
    faster=$(python -m bench.interpreter)
    if [ -n "$faster" ]; then
        echo "Measured with $faster, which is faster than the environment's Python." >&2
        UV_PROJECT_ENVIRONMENT=$PWD/.detent/bench "$uv" sync -q --frozen --python "$faster" --extra demo --extra postgres &&
            PATH=$PWD/.detent/bench/bin:$PATH
    fi
    if [ "${1:-}" = curve ]; then
        python -m bench.curve "${@:2}"
    else
        python -m bench.table "$@"
    fi
}
