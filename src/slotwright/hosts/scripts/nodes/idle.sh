# After ours.sh: goes on only where nothing runs in the folder.
# shellcheck disable=SC2154 # folder: from ours.sh

refuse_link "$folder"
process_in "$folder"
[ -z "$unfit" ] || refuse_process "${unfit%% *}" "${unfit#* }"
demand_idle "$folder"
