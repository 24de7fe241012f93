# $1 folder, $2 cluster id; the folder as a .tar.gz on the output.

absent=45
. ./nodes/ours.sh

GZIP=-1; export GZIP
cd "$folder" && tar -czf - .
