#compdef rbench
# Completion of rbench for zsh: the program itself says what may stand here.
_rbench()
{
    local line files=
    local -a found
    for line in ${(f)"$($words[1] help --complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
        if [[ $line == :files ]]; then
            files=1
        else
            found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        fi
    done
    (($#found)) && _describe rbench found
    if [[ -n $files ]]; then
        compset -P '-[^=]#='
        _files
    fi
}
if [[ $funcstack[1] == _rbench ]]; then
    _rbench "$@"
else
    compdef _rbench rbench
fi
