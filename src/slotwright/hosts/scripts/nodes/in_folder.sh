# As as_owner.sh, for a script whose first argument is a node's folder: root looks first whether that can be believed.

. ./trust/trust.sh

demand_node "$3"

. ./nodes/as_owner.sh
