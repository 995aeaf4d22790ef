#!/bin/sh
# What `make install` puts under a PREFIX works from there, a program builds on it, and `make uninstall`
# takes all of it again; a DESTDIR gets the same files. Exit 1 if not. Usage: install.sh, from the root
set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
prefix=$dir/own

fail() {
    echo "install.sh: $*"
    exit 1
}

make -s install PREFIX="$prefix" >/dev/null
"$prefix/bin/rbench" predict tiny -p 8 -n 1 >/dev/null || fail "the program does not run"
for command in $("$prefix/bin/rbench" help | sed -n 's/^  rbench \([a-z]*\)  .*/\1/p'); do
    [ "$command" = version ] || [ -s "$prefix/share/man/man1/rbench-$command.1" ] ||
        fail "no manual page of $command"
done
cat >"$dir/own.c" <<'C'
#include <rbench.h>
#include <stdio.h>
int main(void)
{
    rb_model *model;
    rb_error err = { 0 };
    const rb_model_params params = { .dry = true };
    if (rb_model_open(&model, "tiny", &params, &err) != RB_OK)
        return 1;
    printf("%lld\n", (long long)model->config.n_layer);
    rb_model_close(model);
    return 0;
}
C
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
${CC:-gcc} -Wall -Wextra -Werror $(pkg-config --cflags rbench) -o "$dir/program" "$dir/own.c" \
    $(pkg-config --libs rbench) || fail "a program does not build on the library"
[ "$("$dir/program")" -gt 0 ] || fail "a program on the library does not run"

cp -r bench/examples "$dir/mine"
make -s -C "$dir/mine" >/dev/null || fail "the examples do not build on the library"
"$dir/mine/beside" tied_kv --dry tiny d_rot=8 >/dev/null || fail "an example does not run"

(cd "$prefix" && find . -type f | sort) >"$dir/installed"
make -s uninstall PREFIX="$prefix" >/dev/null
left=$(find "$prefix" ! -type d)
[ -z "$left" ] || fail "uninstall leaves $left"

make -s install PREFIX=/opt/rbench DESTDIR="$dir/stage" >/dev/null
(cd "$dir/stage/opt/rbench" && find . -type f | sort) | cmp -s - "$dir/installed" ||
    fail "DESTDIR gets other files"
grep -q "^Libs: -L/opt/rbench/lib -lrbench" "$dir/stage/opt/rbench/lib/pkgconfig/rbench.pc" ||
    fail "rbench.pc knows DESTDIR"
echo "install.sh: $(wc -l <"$dir/installed") files installed, used and taken away again"
