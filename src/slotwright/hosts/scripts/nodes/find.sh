# $1: one node's folder.

. ./nodes/folder.sh
. ./nodes/visible.sh

folder "$1"
