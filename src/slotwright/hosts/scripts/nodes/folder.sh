# FOLDER: prints the facts of a node's folder, a word and its value a line.

. ./nodes/process_in.sh
. ./nodes/above.sh

folder() {
  printf '@folder %s\n' "$1"
  found=$(distrust_node "$1")
  if [ -n "$found" ]; then echo "@unsafe $found"; return 0; fi
  found=$(unknown_format "$1")
  if [ -n "$found" ]; then echo "@newer $found"; return 0; fi
  if [ ! -e "$1" ]; then
    above "$1"
    if [ ! -d "$top" ]; then echo "@blocked $top is not a folder"
    elif [ ! -w "$top" ]; then echo "@blocked $top can't be written by $(id -un)"
    fi
    return 0
  fi
  if ! entries=$(ls -A "$1" 2>/dev/null); then echo "@blocked Permission denied"; return 0; fi
  entries=$(printf '%s\n' "$entries" | grep -v '^\..*\.tmp$')
  echo "@there"
  [ -n "$entries" ] || { [ -w "$1" ] || echo "@blocked Permission denied"; return 0; }
  echo "@full"
  [ -r "$1/$MARKER" ] && plain_file "$1/$MARKER" && echo "@marker $(tr -d '\n' < "$1/$MARKER")"
  [ -e "$1/$NODES_CONF" ] && echo "@map"
  [ -e "$1/$SERVER_CONF" ] && echo "@conf $(sha256sum < "$1/$SERVER_CONF" | cut -d ' ' -f 1)"
  if process_in "$1"; then echo "@process $pid $boot:$ticks"
  elif [ -n "$unfit" ]; then echo "@misfit $unfit"
  fi
  return 0
}
