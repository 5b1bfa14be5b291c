# What the scripts beside this one share. Sourced, in the project's folder.

say() { printf 'scripts/%s: %s\n' "${0##*/}" "$*" >&2; }
fail() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif has sudo; then
        sudo "$@"
    else
        fail "this needs root or sudo: $*"
    fi
}

# Installs these packages of Debian's, or names them where that is not possible.
install_packages() {
    [ $# -gt 0 ] || return 0
    has apt-get || fail "please install: $* (by their Debian names)"
    say "installing $*"
    as_root apt-get update -q
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"
}
