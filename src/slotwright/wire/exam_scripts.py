"""POSIX shell scripts that examine the nodes of a host and mend their folders, and what their output says.

They need what those of ``node_scripts`` need. A text of a file comes as lines with a bar in front, so that nothing in
it can be taken for a fact; a NUL, which shells can't keep, comes as another character that no text of a server has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slotwright.model.exam import HostExam, NodeExam
from slotwright.model.facts import DirectoryState, NodeQuery, ProcessId
from slotwright.model.files import ASIDE, MAP_ASIDE, MARKER, NODES_CONF, SERVER_CONF, SERVER_LOG
from slotwright.wire.node_scripts import AS_OWNER, BESIDE_THE_DATA, PROCESS_IN, PUT, VISIBLE, directory_state

LOG_BYTES = 8192
_MAP_BYTES = 16 * 1024 * 1024
_NOT_DATA = (*BESIDE_THE_DATA, MARKER, NODES_CONF)
_PRUNED = f"-type d -name '{ASIDE}*' -prune -o "
_UNNAMED = " ".join(f"! -name '{name}*'" for name in _NOT_DATA)

EXAMINE = rf"""
{PROCESS_IN}
text() {{ {{ cat; echo; }} | tr '\000' '\001' | sed 's/^/|/'; }}
above() {{
  top=$1
  while [ ! -e "$top" ]; do top=${{top%/*}}; [ -n "$top" ] || top=/; done
}}
examine() {{
  printf '@node %s\n' "$1"
  above "$1"
  if [ "$top" != "$1" ]; then
    if [ -d "$top" ] && [ ! -x "$top" ]; then echo "@blocked"; else echo "@absent"; fi
    return 0
  fi
  if ! entries=$(ls -A "$1" 2>/dev/null); then echo "@blocked"; return 0; fi
  entries=$(printf '%s\n' "$entries" | grep -v '^\..*\.tmp$')
  [ -n "$entries" ] || {{ echo "@empty"; return 0; }}
  if [ -e "$1/{MARKER}" ] && [ ! -r "$1/{MARKER}" ]; then echo "@blocked"; return 0; fi
  [ -e "$1/{MARKER}" ] && echo "@marker $(tr -d '\n' < "$1/{MARKER}")"
  grep -q "\"cluster_id\": *\"$cluster\"" "$1/{MARKER}" 2>/dev/null || return 0
  if process_in "$1"; then
    echo "@process $pid $boot:$ticks"
    echo "@state $letter"
    while read -r one two three soft _; do
      [ "$one $two $three" = "Max open files" ] && echo "@nofile $soft"
    done 2>/dev/null < "/proc/$pid/limits"
  elif [ -f "$1/{NODES_CONF}" ]; then
    echo "@map"
    head -c {_MAP_BYTES} "$1/{NODES_CONF}" | text
  fi
  [ -f "$1/{SERVER_LOG}" ] && {{ echo "@log"; tail -c {LOG_BYTES} "$1/{SERVER_LOG}" | text; }}
  find "$1" {_PRUNED} -type f {_UNNAMED} -exec ls -lnd {{}} + 2>/dev/null | {{
    total=0
    while read -r mode _ _ _ size _; do case $mode in -*) total=$((total + size));; esac; done
    echo "@data $total"
  }}
  return 0
}}
cluster=$1
shift
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  examine "$1"
  echo "@room $(df -P -k "$top" 2>/dev/null | tail -n 1)"
  shift
done
echo "@host"
while read -r name size _; do
  case $name in MemTotal:|MemAvailable:) echo "@memory $name $size";; esac
done 2>/dev/null < /proc/meminfo
shift
[ $# -eq 0 ] || systemctl show -p Id -p Result "$@" 2>/dev/null | sed 's/^/@unit /'
echo "@end"
"""
"""``$1`` cluster id, then the nodes' folders, ``--``, and the nodes' units, where a service manager runs them."""

_AT_REST = rf"""
{PROCESS_IN}{VISIBLE}
[ -e "$1" ] || exit 45
grep -q "\"cluster_id\": *\"$2\"" "$1/{MARKER}" 2>/dev/null || exit 44
process_in "$1" && exit 47
shift 2
"""

AT_REST = _AT_REST + AS_OWNER
"""``$1`` folder, ``$2`` cluster id, then as for AS_OWNER: only where nothing runs in a folder that is ours. Root looks:
one that a service manager walled in hides from its own user."""

WRITE_MAP = rf"""{PUT}
rm -f "$folder"/.*.tmp
put .next.tmp
map="$folder/{NODES_CONF}" next="$folder/.next.tmp"
if [ -f "$map" ]; then
  if [ "$(cat "$map" 2>/dev/null)" = "$(cat "$next")" ] 2>/dev/null; then rm -f "$next"; exit 0; fi
  cp "$map" "$folder/.broken.tmp" && durable "$folder/.broken.tmp" || exit 41
  mv -f "$folder/.broken.tmp" "$folder/{MAP_ASIDE}" || exit 41
fi
mv -f "$next" "$map" || exit 41
"""
"""``$1`` folder, ``$2`` boundary; as its owner."""

READ_MAP = rf"""{VISIBLE}
grep -q "\"cluster_id\": *\"$2\"" "$1/{MARKER}" 2>/dev/null || exit 0
[ ! -f "$1/{NODES_CONF}" ] || cat "$1/{NODES_CONF}"
"""
"""``$1`` folder, ``$2`` cluster id."""

SET_DATA_ASIDE = rf"""
cd "$1" || exit 41
number=1
while [ -e "{ASIDE}$number" ]; do number=$((number + 1)); done
goal=
for one in * .[!.]*; do
  [ -e "$one" ] || [ -L "$one" ] || continue
  case $one in {"|".join(f"{name}*" for name in _NOT_DATA)}|{ASIDE}*|.*.tmp) continue;; esac
  [ -n "$goal" ] || {{ goal={ASIDE}$number; mkdir -m 0700 "$goal" || exit 40; }}
  mv "./$one" "$goal/" || exit 41
done
[ -n "$goal" ] || exit 0
sync
printf '%s\n' "$1/$goal"
"""
"""``$1`` folder; as its owner."""

MEND_APPEND_LOG = rf"""
cd "$1" || exit 41
log=
for one in */*.manifest; do
  case $one in {ASIDE}*) continue;; esac
  [ -f "$one" ] || continue
  if [ -z "$log" ] || [ -n "$(find "$one" -newer "$log")" ]; then log=$one; fi
done
if [ -z "$log" ]; then
  log=$(sed -n 's/^ *appendfilename  *"\{{0,1\}}\([^"]*[^" ]\).*/\1/p' {SERVER_CONF} 2>/dev/null | tail -n 1)
  [ -f "${{log:=appendonly.aof}}" ] || exit 48
fi
tool=.redis-check-aof.$$.tmp
ln -s "$2" "$tool" || exit 41
printf 'y\ny\n' | "./$tool" --fix "$log" 2>&1
status=$?
rm -f "$tool"
[ "$status" -eq 0 ] || exit 49
sync
"""
"""``$1`` folder, ``$2`` the server's program; as its owner. A link with that name makes it the tool (Valkey's answers
to it, too), of the very version that wrote the file."""


def parse_exam(text: str, host: str, cluster_id: str, queries: Sequence[NodeQuery], units: Sequence[str]) -> HostExam:
    """The exam in the output of :data:`EXAMINE`. Raises ValueError for a cut output."""
    # Not splitlines: what a log has inside a line must not end it.
    lines = text.split("\n")
    if "@host" not in lines or lines[-2:] != ["@end", ""]:
        raise ValueError("the output ends too early")
    middle = lines.index("@host")
    words = dict(zip((query.directory for query in queries), _endings(lines[middle:], units), strict=False))
    found = dict(_blocks(lines[:middle]))
    nodes = tuple(_node(query, found[query.directory], cluster_id, words.get(query.directory, "")) for query in queries)
    memory = [line.split() for line in lines[middle:] if line.startswith("@memory ")]
    sizes = {name: int(size) * 1024 for _, name, size in memory if size.isdigit()}
    return HostExam(host, nodes, sizes.get("MemTotal:"), sizes.get("MemAvailable:"))


def _blocks(lines: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each folder with its facts; the text that follows a fact is the fact's."""
    facts: dict[str, str] = {}
    texts: dict[str, list[str]] = {}
    word = ""
    for line in [*lines, "@node "]:
        if line.startswith("@node "):
            if "@node" in facts:
                yield facts["@node"], facts | {name: "\n".join(rows) for name, rows in texts.items()}
            facts, texts = {"@node": line.removeprefix("@node ")}, {}
        elif line.startswith("|"):
            texts.setdefault(word, []).append(line[1:])
        else:
            word, _, rest = line.partition(" ")
            facts[word] = rest


def _node(query: NodeQuery, facts: dict[str, str], cluster_id: str, ended_by: str) -> NodeExam:
    state = _state(facts, cluster_id)
    room = facts.get("@room", "").split()
    free_bytes = int(room[3]) * 1024 if len(room) > 3 and room[3].isdigit() else None
    if state is not DirectoryState.OURS:
        return NodeExam(query.address, state, free_bytes=free_bytes)
    pid, _, started = facts.get("@process", "").partition(" ")
    nofile, data = facts.get("@nofile", ""), facts.get("@data", "")
    return NodeExam(
        query.address,
        state,
        process=ProcessId(int(pid), started) if pid else None,
        process_state=facts.get("@state", ""),
        nofile=int(nofile) if nofile.isdigit() else None,
        map_text=facts.get("@map"),
        log_tail=facts.get("@log", ""),
        free_bytes=free_bytes,
        data_bytes=int(data) if data.isdigit() else 0,
        ended_by=ended_by,
    )


def _state(facts: dict[str, str], cluster_id: str) -> DirectoryState:
    if "@absent" in facts:
        return DirectoryState.ABSENT
    if "@blocked" in facts:
        return DirectoryState.UNWRITABLE
    return DirectoryState.EMPTY if "@empty" in facts else directory_state(facts.get("@marker", ""), cluster_id)


def _endings(lines: Sequence[str], units: Sequence[str]) -> list[str]:
    """How each unit's last run ended; "" for well, and for what is not known."""
    results: dict[str, str] = {}
    unit = result = ""
    # Properties come in an order of systemd's own, with an empty line between two units.
    for line in [*lines, "@unit "]:
        if not line.startswith("@unit "):
            continue
        name, _, value = line.removeprefix("@unit ").partition("=")
        if name == "Id":
            unit = value
        elif name == "Result":
            result = value
        else:
            results[unit] = result
            unit = result = ""
    return [results.get(each, "").replace("success", "") for each in units]
