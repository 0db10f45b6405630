# A command line on curl and jq, by the device grant.
set -euo pipefail

# the page shows from here
configuration=$(curl --silent --show-error "${ISSUER}.well-known/openid-configuration")
endpoint() { jq --raw-output ".$1" <<<"$configuration"; }

# ask ENDPOINT NAME=VALUE...: by standard input, for everybody on the machine sees the arguments of a command.
ask() {
    local url
    url=$(endpoint "$1")
    shift
    printf 'data-urlencode = "%s"\n' "client_id=$CLIENT_ID" "$@" | curl --silent --show-error --config - "$url"
}

# Show the person .verification_uri and .user_code of it, or .verification_uri_complete as a link.
begin() { ask device_authorization_endpoint "scope=openid profile email read offline_access"; }

# poll DEVICE_CODE: once in .interval seconds, as long as .error is authorization_pending.
poll() { ask token_endpoint grant_type=urn:ietf:params:oauth:grant-type:device_code "device_code=$1"; }

# refresh TOKEN: keep the new .refresh_token of it.
refresh() { ask token_endpoint grant_type=refresh_token "refresh_token=$1"; }

revoke() { ask revocation_endpoint "token=$1"; }
# to here

# tell STEP NAME [JSON]: a line for the test; its answer is one too.
tell() {
    jq --compact-output --null-input --arg step "$1" --argjson told "${3:-null}" "{step: \$step, $2: \$told}"
    read -r _
}

field() { jq --raw-output ".$1" <<<"$2"; }

sign_in() {
    local asked
    asked=$(begin)
    tell 'sign in' asked "$asked"
    tell 'too early' answer "$(poll "$(field device_code "$asked")")"
    tokens=$(poll "$(field device_code "$asked")")
    tell 'signed in' tokens "$tokens"
}

sign_in
old=$(field refresh_token "$tokens")
for _ in 1 2 3 4 5; do
    tokens=$(refresh "$(field refresh_token "$tokens")")
    tell refreshed tokens "$tokens"
done
tell refused answer "$(refresh "$old")"
tokens=$(refresh "$(field refresh_token "$tokens")")
tell refreshed tokens "$tokens"
suspected=$(field refresh_token "$tokens")
sign_in
tell refused answer "$(refresh "$suspected")"
revoke "$(field refresh_token "$tokens")"
tell revoked nothing
tell refused answer "$(refresh "$(field refresh_token "$tokens")")"
