# Prints what bash exports after sourcing each file of a folder ($1), run in another folder ($2); see
# tests/support/readers.rs. To be run by `env -i`. A file finds no commands; one that is no shell text
# at all is marked with `!`. Each gets a bash of its own, because in a subshell the last failing
# command of a list takes the exported variables with it.
cd "$2" || exit
for file in "$1"/*; do
  mark=@
  ( eval "set -n; $(< "$file")" ) 2> /dev/null || mark=!
  printf '%s%s\0' "$mark" "${file##*/}"
  "$BASH" -c 'PATH=/nonexistent; set -a; . "$1" > /dev/null 2>&1; /usr/bin/env -0' - "$file"
done
