# As fill_folder.sh, for the configuration alone.

. ./nodes/put.sh

rm -f "$folder"/.*.tmp
put "$SERVER_CONF"
