#compdef slowfs
# Completions of slowfs for zsh, as `slowfs completions zsh` prints them: _slowfs in a directory of
# $fpath, or sourced. The program that is called tells what could stand at the cursor.
_slowfs() {
    local value about
    local -a whole begun
    while IFS=$'\t' read -r value about; do
        # What goes on in the same word is followed by no blank.
        if [[ $value == *[=:/,] ]]; then
            begun+=("${value//:/\\:}${about:+:$about}")
        else
            whole+=("${value//:/\\:}${about:+:$about}")
        fi
    done < <(
        SLOWFS_COMPLETE=zsh ${(Q)words[1]} -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null
    )
    (( $#whole )) && _describe -V slowfs whole
    (( $#begun )) && _describe -V slowfs begun -S ''
}
if [[ $funcstack[1] == _slowfs ]]; then _slowfs "$@"; else compdef _slowfs slowfs; fi
