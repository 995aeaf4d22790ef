#!/bin/sh
# Runs the program's commands, good and bad, under LeakSanitizer, which exits 23 where memory is
# lost: Criterion's tests cannot look for leaks. Usage: leaks.sh RBENCH (built with CONFIG=asan)
set -u

rbench=$1
status=0
n=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
# OpenMP's threads live as long as the process: what they hold is reachable to them alone.
export LSAN_OPTIONS="exitcode=23:print_suppressions=0"
export ASAN_OPTIONS="detect_leaks=1"

# leaks WANTED_EXIT ARGUMENT...
leaks() {
    want=$1
    shift
    "$rbench" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    n=$((n + 1))
    [ $got = "$want" ] && return
    echo "rbench $*: exit $got, wanted $want"
    head -40 "$dir/err"
    status=1
}

small="--set arch=qwen3 --set n_layer=2 --set n_embd=64 --set n_ff=96 --set n_vocab=128 \
 --set n_head=4 --set n_head_kv=2 --set d_head=16 --set n_ctx=128"
for type in f32 q8_0 q4_1; do
    leaks 0 synth $small --type $type -o "$dir/$type.gguf"
    leaks 0 "$dir/$type.gguf" -p 40 -n 3 -r 1 -t 2 --layers 1,3
    leaks 0 eval "$dir/$type.gguf" --tokens 3,17,5 --force 7,29 -t 2
done
head -c 600 "$dir/f32.gguf" >"$dir/cut.gguf"
leaks 0 convert "$dir/f32.gguf" "$dir/mix.gguf" --type q4_k_m -t 2
leaks 1 convert "$dir/cut.gguf" "$dir/mix.gguf" --type q8_0
leaks 2 convert "$dir/f32.gguf" "$dir/f32.gguf" --type q8_0
leaks 1 convert "$dir/f32.gguf" /dev/full --type q8_0
leaks 0 "$dir/f32.gguf" --depth-sweep=1,2,4 -p 8 -n 2 -r 1 -o json --explain
leaks 0 "$dir/f32.gguf" -p 8 -n 2 -r 1 -t 2 --trace "$dir/run.json"
leaks 1 "$dir/f32.gguf" -p 8 -n 2 -r 1 --trace "$dir/f32.gguf"
"$rbench" "$dir/f32.gguf" -p 8 -n 2 -r 6 -t 2 --no-roofs -o json >"$dir/a.json" 2>"$dir/err"
leaks 0 compare "$dir/a.json" "$dir/a.json"
leaks 0 compare "$dir/a.json" "$dir/a.json" -o json --fail-above 5
leaks 1 compare "$dir/a.json" "$dir/cut.gguf"
leaks 0 "$dir/f32.gguf" --context-sweep=0,8,16 -n 2 -r 6 -t 2 --no-roofs
leaks 2 "$dir/f32.gguf" --context-sweep=0,8
leaks 0 "$dir/f32.gguf" --batch-sweep=1,2,4 -n 2 -r 6 -t 2 --no-roofs
leaks 0 "$dir/f32.gguf" --draft-sweep=1,4 -n 2 -r 6 -t 2 --no-roofs -o json
leaks 2 "$dir/f32.gguf" --draft-sweep --draft 2
leaks 0 predict llama3.1-70b
leaks 0 paper --models tiny --types f16 -r 1 -t 2 --no-roofs --out "$dir/paper"
leaks 0 paper --models tiny --types f16 -r 1 -t 2 --no-roofs --out "$dir/paper"
leaks 2 paper --models tiny,nothing-of-this-name --out "$dir/paper3"
leaks 1 paper --models tiny --out "$dir/cut.gguf"
leaks 0 synth --list
leaks 0 synth --like "$dir/mix.gguf" -o "$dir/like.gguf"
leaks 1 synth --like "$dir/cut.gguf" -o "$dir/like.gguf"
leaks 0 compare --any-weights "$dir/a.json" "$dir/a.json"
leaks 0 paper --models tiny --types f16 -r 1 -t 2 --no-roofs --out "$dir/paper" \
    --overlay "$dir/paper/records.jsonl"
leaks 1 paper --models tiny --types f16 --out "$dir/paper" --overlay "$dir/a.json"
leaks 0 kernels --shape 16,256,2 -r 1 --no-roofs -t 2 --threads-sweep --explain
leaks 0 kernels --list
leaks 0 verify "$dir/q8_0.gguf" --prove-red --no-roofs -t 2
leaks 1 verify "$dir/cut.gguf"
leaks 2 kernels attend --shape T=2,S=1
folder=tests/vectors/hf/llama text=tests/vectors/text/constitution.txt
leaks 0 generate $folder -p "the cat" -n 5 --ignore-eos -t 2
leaks 0 generate $folder --chat -p hi -n 5 --system be -o json
leaks 1 generate "$dir/f32.gguf" -p hi
leaks 1 generate $folder -f "$dir/nothing"
leaks 2 generate $folder -p hi --attn mlb
leaks 0 generate $folder -p hi -n 3 --attn mla
leaks 1 generate $folder -p hi --attn lrkv:12
leaks 0 eval $folder --tokens 3,17 --attn mla-absorbed
leaks 1 eval $folder --tokens 3,17 --attn gta
leaks 1 eval $folder --tokens 3,17 --attn gqa:3
leaks 0 "$dir/f32.gguf" --attn gqa,gta -p 8 -n 2 -r 1 -t 2 --no-roofs
leaks 0 perplexity $folder -f $text -c 32 --chunks 2 --base $folder --attn mha,lrkv:12,mla-absorbed
leaks 0 perplexity $folder -f $text -c 32 --chunks 2 --base $folder
leaks 0 perplexity $folder -f $text -c 32 --chunks 2 -o json
leaks 1 perplexity $folder -f $text -c 100000
leaks 0 tokenize $folder "the cat" "a Q"
leaks 1 tokenize "$dir/f32.gguf" hi
leaks 0 convert $folder "$dir/folder.gguf" --type q8_0
leaks 1 convert tests/vectors/hf "$dir/folder.gguf"
leaks 0 convert "$dir/f32.gguf" "$dir/mqa.gguf" --attn mqa
leaks 0 convert "$dir/f32.gguf" "$dir/lrkv.gguf" --attn lrkv:24 -t 2
leaks 1 convert "$dir/f32.gguf" "$dir/mla.gguf" --attn mla:16
leaks 0 convert $folder "$dir/seen.gguf" --attn lrkv:16 --calibrate $text -t 2
leaks 1 convert $folder "$dir/seen.gguf" --attn lrkv:16 --calibrate "$dir/nothing"
leaks 1 convert "$dir/f32.gguf" "$dir/seen.gguf" --attn lrkv:24 --calibrate $text
leaks 2 convert $folder "$dir/seen.gguf" --attn mqa --calibrate $text
leaks 0 "$dir/lrkv.gguf" -p 8 -n 2 -r 1 -t 2 --no-roofs
leaks 0 help
leaks 0 help --man
leaks 0 help --completion bash
leaks 0 help --complete tiny --type q
leaks 1 "$dir/cut.gguf" -p 8 -n 0
leaks 1 eval "$dir/cut.gguf" --tokens 3
leaks 1 eval "$dir/f32.gguf" --tokens 3000
leaks 2 "$dir/f32.gguf" --no-such-option
leaks 2 eval "$dir/f32.gguf"
leaks 2 nothing-of-this-name
rbench=$(dirname "$1")/bench/examples/beside
leaks 0 gelu_exp --dry pythia-160m n_layer=1 n_vocab=128 n_embd=128 n_ff=192 n_head=2 n_head_kv=2
leaks 0 tied_kv --dry tiny d_rot=8
leaks 1 tied_kv --dry nothing-of-this-name
[ $status != 0 ] || echo "leaks.sh: $n commands, no leak"
exit $status
