# Sourced by ./up and ./check for one function, bootstrap: brings the environment in line with uv.lock and
# puts it first on PATH. Needs git, Python 3.11 or newer and pip; never downloads a Python, never needs root.

venv=${UV_PROJECT_ENVIRONMENT:-.venv}
case $venv in /*) ;; *) venv=$PWD/$venv ;; esac
export UV_PYTHON_DOWNLOADS=never
unset PYTHONDONTWRITEBYTECODE # every process that is started would compile everything once more
unset VIRTUAL_ENV # another project's environment is not ours to use or to warn about
if [ -z "${UV_CACHE_DIR:-}" ] && [ ! -w "${HOME:-}" ]; then
    export UV_CACHE_DIR=$PWD/.detent/cache # an account without a home of its own
fi

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in python3 python3.11 python3.12 python3.13 python3.14 python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "detent needs Python 3.11 or newer, and none was found on PATH." \
        "Install one, for example: apt install python3 python3-pip, brew install python, or python.org/downloads."
}

reads_our_lock() {
    "$1" export --quiet --frozen --no-emit-project >/dev/null 2>&1
}

# Sets uv: the one on PATH, else our own copy under .detent/.
find_uv() {
    local own=.detent/bootstrap/bin/uv python=$1
    for uv in uv "$own"; do
        if reads_our_lock "$uv"; then return; fi
    done
    "$python" -m pip --version >/dev/null 2>&1 ||
        fail "detent needs pip for $python, to install uv into .detent/." \
            "Install it, for example: apt install python3-pip, or $python -m ensurepip --user."
    echo "Installing uv into .detent/ …" >&2
    # --target works beside an externally managed Python (PEP 668); the two settings would contradict it.
    PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 "$python" -m pip install --quiet --upgrade --no-cache-dir \
        --disable-pip-version-check --root-user-action=ignore --target .detent/bootstrap uv
    reads_our_lock "$own" || fail "uv cannot read uv.lock; the reason:" "$("$own" export --quiet --frozen 2>&1)"
}

# bootstrap [uv sync options]
bootstrap() {
    local python
    python=$(find_python)
    find_uv "$python"
    if [ -x "$venv/bin/python" ]; then
        set -- --quiet "$@" # an environment that is there keeps its Python
    else
        echo "Setting up $venv …" >&2
        set -- --python "$python" "$@"
    fi
    # --inexact: what a developer added to the environment stays.
    "$uv" sync --frozen --inexact "$@"
    PATH=$venv/bin:$PATH
}
