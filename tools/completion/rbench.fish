# Completion of rbench for fish: the program itself says what may stand here.
function __rbench_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l kept (string match -r -- '^-[^=]*=' "$word")
    for line in ($before[1] help --complete $before[2..-1] "$word" 2>/dev/null)
        if test "$line" = :files
            for file in (__fish_complete_path (string replace -r -- '^-[^=]*=' '' "$word"))
                echo "$kept$file"
            end
        else
            echo $line
        end
    end
end
complete -c rbench -f -a '(__rbench_complete)'
