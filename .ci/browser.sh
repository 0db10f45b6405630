# Sourced by ./check for one function, browser_parts: what the browser tests drive. A Chromium: the system's, else
# Debian's, which root may install, else npm's, which needs no root. And the npm packages that browser apps are made
# of, as locked under tests/browser. It all stays for the next run; tests that miss a part are skipped and say how to
# get it.

parts=.detent/browser

browser_parts() {
    chromium --version 2>/dev/null || debian_chromium || npm_chromium || echo "No Chromium for this machine."
    npm_packages tests/browser/clients $parts/clients || echo "No npm packages."
}

debian_chromium() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    echo "Installing Debian's Chromium …"
    apt_chromium || apt_chromium # a mirror may fail once
}

apt_chromium() {
    apt-get -qq update &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null &&
        chromium --version
}

# The package carries Chromium compressed and unpacks it into TMPDIR.
npm_chromium() {
    npm_packages tests/browser/chromium $parts/chromium || return
    local modules=$PWD/$parts/chromium/node_modules
    if [ ! -d "$modules/unpacked" ]; then
        mkdir -p "$modules/partial"
        (cd "$modules" && TMPDIR=$modules/partial node --input-type=module --eval \
            'import chromium from "@sparticuz/chromium"; await chromium.executablePath()') || return
        mv "$modules/partial" "$modules/unpacked"
    fi
    "$modules/unpacked/chromium" --version
}

# npm_packages LOCKED THERE: what the folder LOCKED locks, in the folder THERE; nothing to do if it is there already.
npm_packages() {
    local locked=$1 there=$2
    cmp -s "$locked/package-lock.json" "$there/node_modules/installed.json" && return
    command -v npm >/dev/null || return
    mkdir -p "$there"
    cp "$locked/package.json" "$locked/package-lock.json" "$there"
    npm ci --prefix "$there" --ignore-scripts --no-audit --no-fund &&
        cp "$locked/package-lock.json" "$there/node_modules/installed.json"
}
