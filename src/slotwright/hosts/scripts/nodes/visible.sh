# Where we may not look, nothing is said of what is there: "not there" would be taken for "gone".

top=${1%/*}
while [ -n "$top" ] && [ ! -e "$top" ]; do top=${top%/*}; done
[ ! -d "${top:-/}" ] || [ -x "${top:-/}" ] || exit 46
