# sudo logs whole command lines, so the script comes on the input, up to a line that is $0; what follows is its own
# input.

script=
while IFS= read -r line && [ "$line" != "$0" ]; do script="$script$line
"; done
eval "$script"
