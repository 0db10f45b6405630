# Sourced by ./check for two functions: client_parts brings the clients that tests/clients runs, as locked there, into
# .detent/clients, which stays for the next run; client_tests says where one of them is tested. A client that is
# missing skips its tests, and they say how to get it.

client_parts() {
    browser_parts
    npm_packages tests/clients/node .detent/clients/node || echo "No npm packages."
    python_clients || echo "No Python clients."
    debian_clients || echo "No Apache with mod_auth_openidc, no curl or no jq."
}

# In an environment beside ours: what they depend on never meets what we depend on.
python_clients() {
    UV_PROJECT_ENVIRONMENT=$PWD/.detent/clients/python "$uv" sync --project tests/clients/python --frozen --quiet \
        --compile-bytecode
}

debian_clients() {
    { [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] && command -v curl && command -v jq; } >/dev/null && return
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
        apache2-bin libapache2-mod-auth-openidc curl jq >/dev/null
}

# client_tests NAME: the file of this client's tests; fails with the names for a client there is not.
client_tests() {
    local name=$1 file
    file=tests/clients/test_${name//[-.]/_}.py
    if [ -f "$file" ]; then
        echo "$file"
    else
        echo "./check clients: no client named '$name'. Clients: $(client_names)." >&2
        return 2
    fi
}

client_names() {
    local file names=''
    for file in tests/clients/test_*.py; do
        file=${file#tests/clients/test_}
        file=${file%.py}
        names+=${names:+, }${file//_/-}
    done
    echo "$names"
}
