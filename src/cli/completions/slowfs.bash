# Completions of slowfs for bash, as `slowfs completions bash` prints them. The program that is
# called tells what could stand at the cursor.
_slowfs() {
    mapfile -t COMPREPLY < <(
        SLOWFS_COMPLETE=bash "$1" -- "$2" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null
    )
    # What goes on in the same word is followed by no blank.
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[=:/,] ]]; then compopt -o nospace; fi
}
complete -o nosort -F _slowfs slowfs
