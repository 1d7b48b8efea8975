# Completions of slowfs for fish, as `slowfs completions fish` prints them. The program that is
# called tells what could stand at the cursor.
function __slowfs_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    SLOWFS_COMPLETE=fish $words[1] -- $words "$current" 2>/dev/null
end
complete --command slowfs --keep-order --no-files --arguments '(__slowfs_complete)'
