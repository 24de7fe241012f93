"""POSIX shell scripts about the folders of nodes on a host, and what their output says.

They need sh, coreutils or busybox, and Linux's ``/proc``. Output is one fact a line: a word that starts with ``@``,
then the fact. File contents come on stdin, as lines up to a boundary that no content can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from slotwright.model.facts import (
    DirectoryFact,
    DirectoryState,
    HostFacts,
    NodeFacts,
    NodeQuery,
    PortOwner,
    ProcessId,
)
from slotwright.model.files import MARKER, NODES_CONF, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.model.profile import Listener
from slotwright.wire.listeners import listener_from_proc, listener_from_ss

BESIDE_THE_DATA = (SERVER_CONF, SERVER_LOG, PID_FILE, PROCESS)

# A process of ours: the pid that the server noted, believed only when it works in the node's own folder. Its start is
# field 22 of stat (proc(5)), which is the 20th after the command's closing bracket.
PROCESS_IN = rf"""
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
ticks_of() {{
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  set -- ${{stat##*) }}
  case $1 in Z|X) return 1;; esac
  letter=$1
  shift 19
  ticks=$1
}}
noted_in() {{
  pid=$(sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' "$1/{PROCESS}" 2>/dev/null)
  since=$(sed -n 's/.*"started": *"\([^"]*\)".*/\1/p' "$1/{PROCESS}" 2>/dev/null)
  [ -n "$pid" ] && ticks_of "$pid" && [ "$boot:$ticks" = "$since" ]
}}
process_in() {{
  noted_in "$1" && return 0
  pid=
  [ -r "$1/{PID_FILE}" ] && read -r pid < "$1/{PID_FILE}"
  [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd" 2>/dev/null)" = "$(cd -P "$1" && pwd -P)" ] || return 1
  ticks_of "$pid"
}}
"""

_FOLDER = rf"""
above() {{
  top=$1
  while [ ! -e "$top" ]; do top=${{top%/*}}; [ -n "$top" ] || top=/; done
}}
folder() {{
  printf '@folder %s\n' "$1"
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
  [ -n "$entries" ] || {{ [ -w "$1" ] || echo "@blocked Permission denied"; return 0; }}
  echo "@full"
  [ -r "$1/{MARKER}" ] && echo "@marker $(tr -d '\n' < "$1/{MARKER}")"
  [ -e "$1/{NODES_CONF}" ] && echo "@map"
  [ -e "$1/{SERVER_CONF}" ] && echo "@conf $(sha256sum < "$1/{SERVER_CONF}" | cut -d ' ' -f 1)"
  process_in "$1" && echo "@process $pid $boot:$ticks"
  return 0
}}
"""

INSPECT = (
    PROCESS_IN
    + _FOLDER
    + """
for one; do folder "$one"; done
above "$1"
echo "@room $(df -P -k "$top" | tail -n 1)"
echo "@uid $(id -u)"
if command -v ip >/dev/null 2>&1; then ip -o addr show | while read -r _ _ _ one _; do echo "@address ${one%%/*}"; done
else echo "@addresses unknown"; fi
if command -v ss >/dev/null 2>&1; then ss -ltnpH 2>/dev/null | while read -r line; do echo "@ss $line"; done
else for one in /proc/net/tcp /proc/net/tcp6; do
  [ -r "$one" ] && while read -r line; do echo "@proc $line"; done < "$one"
done; fi
echo "@end"
"""
)
"""``$@``: the nodes' folders."""

FIND = (
    PROCESS_IN
    + _FOLDER
    + """
top=${1%/*}
while [ -n "$top" ] && [ ! -e "$top" ]; do top=${top%/*}; done
[ ! -d "${top:-/}" ] || [ -x "${top:-/}" ] || exit 46
folder "$1"
"""
)
"""``$1``: one node's folder."""

PUT = r"""
umask 077
durable() { dd if=/dev/null of="$1" conv=notrunc,fsync oflag=append 2>/dev/null || sync; }
put() {
  draft="$folder/.$1.$$.tmp"
  : > "$draft" || exit 40
  while IFS= read -r line && [ "$line" != "$boundary" ]; do
    printf '%s\n' "$line" || { rm -f "$draft"; exit 41; }
  done > "$draft"
  [ "$line" = "$boundary" ] || { rm -f "$draft"; exit 42; }
  durable "$draft"
  mv -f "$draft" "$folder/$1" || exit 41
}
folder=$1 boundary=$2
"""

AS_OWNER = """
owner=$1 script=$2
shift 2
[ -n "$owner" ] && [ "$(id -u)" = 0 ] || exec sh -c "$script" sh "$@"
uid=$(id -u "$owner") && gid=$(id -g "$owner") || exit 43
if setpriv --reuid="$uid" --regid="$gid" --clear-groups true 2>/dev/null; then
  exec setpriv --reuid="$uid" --regid="$gid" --clear-groups sh -c "$script" sh "$@"
elif runuser -u "$owner" -- true 2>/dev/null; then
  exec runuser -u "$owner" -- sh -c "$script" sh "$@"
fi
exec su -s /bin/sh "$owner" -c "$script" sh "$@"
"""
"""``$1`` the service user ("" for the login), ``$2`` a script, then its arguments.

Root never writes in a folder of the service user: whoever broke into a server could lay a link there.
"""

MAKE_FOLDER = """
folder=$1 owner=$2
parent=${folder%/*}
[ -d "$parent" ] || mkdir -p -m 0750 "$parent" || exit 40
[ -d "$folder" ] || mkdir -m 0700 "$folder" || exit 40
[ -z "$owner" ] || chown -h "$owner:$(id -g "$owner")" "$folder" || exit 43
"""
"""``$1`` folder, ``$2`` the user that it belongs to ("" for us)."""

FILL_FOLDER = (
    PUT
    + f"""
rm -f "$folder"/.*.tmp
put {MARKER}
put {SERVER_CONF}
[ -e "$folder/{NODES_CONF}" ] || put {NODES_CONF}
[ -s "$folder/{NODES_CONF}" ] || rm -f "$folder/{NODES_CONF}"
"""
)
"""``$1`` folder, ``$2`` boundary; as its owner."""

REWRITE = PUT + f'rm -f "$folder"/.*.tmp\nput {SERVER_CONF}\n'
"""As FILL_FOLDER, for the configuration alone."""

LOG_TAIL = f"""
[ -e "$1/{SERVER_LOG}" ] || exit 0
tail -c "$2" "$1/{SERVER_LOG}"
"""

LOG_FROM = rf"""
file="$1/{SERVER_LOG}"
size=0
[ -e "$file" ] && size=$(wc -c < "$file")
size=$((size))
start=$2
if [ "$start" -lt 0 ]; then start=$size; elif [ "$start" -gt "$size" ]; then start=0; fi
echo "$start $size"
[ "$start" -ge "$size" ] || tail -c "+$((start + 1))" "$file" | head -c 65536
"""

ROTATE = f"""
file="$1/{SERVER_LOG}"
[ -e "$file" ] && [ "$(wc -c < "$file")" -ge "$2" ] || exit 0
kept=$3
while [ "$kept" -gt 1 ]; do
  [ -e "$file.$((kept - 1))" ] && mv -f "$file.$((kept - 1))" "$file.$kept"
  kept=$((kept - 1))
done
mv -f "$file" "$file.1"
"""

DATA_FILES = """
cd "$1" 2>/dev/null || exit 0
find . -type f | sort | while IFS= read -r file; do printf '%s %s\\n' "$(wc -c < "$file")" "${file#./}"; done
"""

# Where we may not look, nothing is said of what is there: "not there" would be taken for "gone".
VISIBLE = """
top=${1%/*}
while [ -n "$top" ] && [ ! -e "$top" ]; do top=${top%/*}; done
[ ! -d "${top:-/}" ] || [ -x "${top:-/}" ] || exit 46
"""

_OURS = rf"""{VISIBLE}
folder=$1
[ -e "$folder" ] || exit 0
if ! grep -q "\"cluster_id\": *\"$2\"" "$folder/{MARKER}" 2>/dev/null; then
  [ -z "$(ls -A "$folder" | grep -v '^\..*\.tmp$')" ] || exit 44
fi
"""

PACK = (
    _OURS.replace('[ -e "$folder" ] || exit 0', '[ -e "$folder" ] || exit 45')
    + """
GZIP=-1; export GZIP
cd "$folder" && tar -czf - .
"""
)
"""``$1`` folder, ``$2`` cluster id; the folder as a ``.tar.gz`` on the output."""

REMOVE = (
    _OURS
    + f"""
find "$folder" -mindepth 1 -maxdepth 1 ! -name {MARKER} -exec rm -rf {{}} + || exit 41
rm -rf "$folder" || exit 41
rmdir "${{folder%/*}}" 2>/dev/null
exit 0
"""
)
"""``$1`` folder, ``$2`` cluster id. The marker goes last."""

SET_ASIDE = (
    _OURS
    + "\n".join(f'rm -f "$folder"/{name} "$folder"/{name}.*' for name in BESIDE_THE_DATA)
    + """
rm -f "$folder"/.*.tmp
(umask 022; mkdir -p -m 0700 "${3%/*}") && mv "$folder" "$3" || exit 41
# A rebuild reads the data again as the service user, who must be able to come to its own folder.
if [ "$(id -u)" = 0 ] && group=$(stat -c %g "$3" 2>/dev/null) && [ "$group" != 0 ]; then
  chgrp "$group" "${3%/*}" && chmod 0710 "${3%/*}" || exit 43
fi
rmdir "${folder%/*}" 2>/dev/null
exit 0
"""
)
"""``$1`` folder, ``$2`` cluster id, ``$3`` destination."""

SIGNAL = PROCESS_IN + 'ticks_of "$1" && [ "$boot:$ticks" = "$2" ] || exit 0\nkill "-$3" "$1"\n'
"""``$1`` pid, ``$2`` its start, ``$3`` the signal's name; nothing happens when it is another process by now."""

FREE_PORT = """
taken=$(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null)
for port; do
  used=
  for one in "$port" "$((port + 10000))"; do
    case $taken in *":$(printf '%04X' "$one") "*) used=1;; esac
  done
  [ -n "$used" ] || { echo "$port"; exit 0; }
done
exit 1
"""
"""``$@``: ports to try; the first one that is free together with its bus port is printed."""

EXIT_TEXTS = {
    40: "can't make the folder",
    41: "can't write there (is the disk full?)",
    42: "the file came incomplete",
    43: "can't give it to the service user",
    44: "it is not of this cluster: left alone",
    45: "it is not there",
    46: "this login may not look into the folder above it (has it lost root's rights?)",
    47: "its server runs",
    48: "it has no append-only file",
}
"""What the exit codes of these scripts mean."""


def parse_inspection(text: str, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
    """The facts in the output of :data:`INSPECT`. Raises ValueError for a cut output."""
    lines = [tuple(line.split(" ", 1)) for line in text.splitlines() if line.startswith("@")]
    facts = [(line[0], line[1] if len(line) > 1 else "") for line in lines]
    if not facts or facts[-1][0] != "@end":
        raise ValueError("the output ends too early")
    folders = parse_folders(text, cluster_id)
    listeners = tuple(_listeners(facts))
    own = {value for word, value in facts if word == "@address"}
    uid = next((int(value) for word, value in facts if word == "@uid"), 0)
    room = next((value.split() for word, value in facts if word == "@room"), [])
    nodes = tuple(_node(query, folders, listeners, own, uid) for query in queries)
    free = int(room[3]) * 1024 if len(room) > 3 and room[3].isdigit() else 0
    return HostFacts(host, nodes, free, f"{host}:{room[0] if room else ''}")


def parse_folders(text: str, cluster_id: str) -> dict[str, tuple[DirectoryFact, ProcessId | None]]:
    """Folders with their processes in the output of :data:`INSPECT` or :data:`FIND`."""
    found: dict[str, tuple[DirectoryFact, ProcessId | None]] = {}
    for block in re.split(r"^@folder ", text, flags=re.MULTILINE)[1:]:
        path, *lines = block.splitlines()
        facts = dict(_word_and_rest(line) for line in lines)
        found[path] = _folder(path, facts, cluster_id)
    return found


def _folder(path: str, facts: dict[str, str], cluster_id: str) -> tuple[DirectoryFact, ProcessId | None]:
    if "@blocked" in facts:
        return DirectoryFact(path, DirectoryState.UNWRITABLE, reason=facts["@blocked"]), None
    if "@there" not in facts:
        return DirectoryFact(path, DirectoryState.ABSENT), None
    if "@full" not in facts:
        return DirectoryFact(path, DirectoryState.EMPTY), None
    marker_text = facts.get("@marker", "")
    state, marker = directory_state(marker_text, cluster_id), _marker(marker_text)
    if state is DirectoryState.FOREIGN:
        return DirectoryFact(path, state), None
    fact = DirectoryFact(
        path,
        state,
        owner=marker.get("name", ""),
        node_id=marker.get("node_id", ""),
        has_nodes_conf="@map" in facts,
        conf_digest=facts.get("@conf", ""),
    )
    pid, _, started = facts.get("@process", "").partition(" ")
    return fact, ProcessId(int(pid), started) if state is DirectoryState.OURS and pid else None


def directory_state(marker: str, cluster_id: str) -> DirectoryState:
    """Whose a folder with something in it is, by the text of its marker ("": it has none)."""
    found = _marker(marker)
    if not found:
        return DirectoryState.FOREIGN
    return DirectoryState.OURS if found.get("cluster_id") == cluster_id else DirectoryState.OTHER_CLUSTER


def _node(
    query: NodeQuery,
    folders: dict[str, tuple[DirectoryFact, ProcessId | None]],
    listeners: tuple[Listener, ...],
    own: set[str],
    uid: int,
) -> NodeFacts:
    directory, process = folders[query.directory]
    address = query.address
    if process is not None:
        return NodeFacts(address, directory, process)
    if own and address.host not in own:
        return NodeFacts(address, directory, port_error="not-local")
    owner = _owner(address.host, address.port, listeners)
    bus = _owner(address.host, address.bus_port, listeners) if query.with_bus else None
    denied = "denied" if address.port < 1024 else ""
    return NodeFacts(
        address,
        directory,
        port_error="in-use" if owner else denied,
        port_owner=owner,
        bus_error="in-use" if bus else "",
        bus_owner=bus,
    )


def _owner(host: str, port: int, listeners: tuple[Listener, ...]) -> PortOwner | None:
    everywhere = ("*", "0.0.0.0", "::", host)
    found = next((each for each in listeners if each.port == port and each.address in everywhere), None)
    return None if found is None else found.owner or PortOwner(0, "")


def _listeners(facts: Sequence[tuple[str, str]]) -> Iterator[Listener]:
    for word, line in facts:
        listener = listener_from_ss(line) if word == "@ss" else None
        if word == "@proc" and line.split()[3:4] == ["0A"]:
            listener = listener_from_proc(line)
        if listener is not None:
            yield listener


def _marker(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _word_and_rest(line: str) -> tuple[str, str]:
    word, _, rest = line.partition(" ")
    return word, rest
