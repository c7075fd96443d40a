# What the stand-ins share. They take the documented command lines, and nothing else, and know the things of one case:
# $THINGS holds a file of each kind, a name a line. Every word they were given is kept in $THINGS/words, so that a test
# can tell whether a name came through whole.
set -u
tool=${0##*/}

refuse() {
    printf '%s: %s\n' "$tool" "$*" >&2
    exit 1
}

# has KIND NAME
has() {
    grep -Fxq -- "$2" "$THINGS/$1" || refuse "no such thing among $1: $2"
}

for word; do printf '%s\n' "$tool: $word" >>"$THINGS/words"; done
