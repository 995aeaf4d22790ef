# Completion of rbench for bash: the program itself says what may stand here.
_rbench()
{
    local i word line value cut words=()
    # bash cuts words at = and at : too.
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if ((i > 1)) && [[ $word == [=:]* || ${COMP_WORDS[i - 1]} == *[=:] ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
    done
    word=${words[-1]}
    cut=${word%"${word##*[=:]}"}
    [[ $word == -* ]] && value=${word#*=} || value=$word
    COMPREPLY=()
    while IFS=$'\t' read -r line _; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            while read -r line; do
                line=${word%"$value"}$line
                COMPREPLY+=("${line#"$cut"}")
            done < <(compgen -f -- "$value")
        else
            COMPREPLY+=("${line#"$cut"}")
        fi
    done < <("${COMP_WORDS[0]/#\~/$HOME}" help --complete "${words[@]}" 2>/dev/null)
}
complete -F _rbench rbench
