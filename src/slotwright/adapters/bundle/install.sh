#!/bin/sh
# Install slotwright from this folder, without any network.
#   sh install.sh [FOLDER]      (FOLDER: ~/slotwright unless told; PYTHON names another Python 3.11 or newer)

set -eu
umask 022
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$HOME/slotwright}
case $target in /*) ;; *) target=$PWD/$target ;; esac
say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

if command -v sha256sum >/dev/null 2>&1; then
  (cd "$here" && sha256sum -c SHA256SUMS >/dev/null 2>&1) || fail "a file of the bundle is damaged or missing:
$(cd "$here" && sha256sum -c SHA256SUMS 2>/dev/null | grep -v ': OK$')"
fi

python=''
for each in ${PYTHON:-} $PYTHONS python3; do
  if "$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$each; break; fi
done
[ -n "$python" ] || fail "there is no Python 3.11 or newer; PYTHON=/path/of/python3 sh install.sh names one"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
machine=$(uname -m)
case " $PYTHONS " in *" python$version "*) ;; *)
  say "warning: the bundle was made for $PYTHONS; this is Python $version" ;;
esac
case " $MACHINES " in *" $machine "*) ;; *) say "warning: the bundle was made for $MACHINES; this is $machine" ;; esac

set -- "$here"/wheels/pip-*.whl
pip=$1/pip
# pip runs out of its own wheel: neither ensurepip nor a pip of the system is needed.
install() {
  by=$1
  shift
  "$by" "$pip" --isolated --disable-pip-version-check --no-input install --quiet --no-index --root-user-action=ignore \
    "--find-links=$here/wheels" "--requirement=$here/requirements.txt" "$@"
}
mark=$target/.slotwright-bundle
if [ -e "$target" ] && [ ! -e "$mark" ] && [ -n "$(ls -A "$target")" ]; then
  fail "$target is not empty, and not a slotwright that was installed from a bundle"
fi
# Before anything else is there: an installation that was cut is known as ours, and can be made again.
mkdir -p "$target"
: > "$mark"
if "$python" -m venv --clear --without-pip "$target" 2>/dev/null; then
  : > "$mark"
  install "$target/bin/python"
else
  say "this Python has no venv: installing into $target/lib"
  rm -rf "${target:?}/lib"
  mkdir -p "$target/bin"
  install "$python" --target "$target/lib"
  rm -f "$target/bin/slotwright"
  cat > "$target/bin/slotwright" <<END
#!/bin/sh
PYTHONPATH='$target/lib' SLOTWRIGHT_BUNDLE="\${SLOTWRIGHT_BUNDLE:-$target/share/slotwright/bundle}" \\
  exec '$(command -v "$python")' -m slotwright "\$@"
END
  chmod 755 "$target/bin/slotwright"
fi

# The servers for hosts of either architecture stay with the program, wherever this folder goes.
kept=$target/share/slotwright/bundle/wheels
rm -rf "$kept"
mkdir -p "$kept"
while read -r wheel; do cp "$here/wheels/$wheel" "$kept/"; done < "$here/engine-wheels.txt"

"$target/bin/slotwright" --version >/dev/null || fail "slotwright was installed, but does not run"
say "installed: $target/bin/slotwright"
say "  next   PATH=$target/bin:\$PATH        slotwright demo"
