#!/bin/sh
# Builds the modules that are written in C. It needs nothing of Bulkhead but module.h.
set -eu

usage() {
    cat <<'END'
Usage: build-c.sh [FOLDER]          shared libraries, with cc (or $CC)
       build-c.sh --wasm [FOLDER]   WebAssembly, with clang (or $WASM_CC)
       build-c.sh --check           builds the WebAssembly again and compares it with what is in the
                                    repository

Without FOLDER, each file goes to where its module.toml looks for it.

Exit codes: 0 done; 1 a build failed, or what was built differs; 2 wrong usage; 77 the files cannot
be compared, because clang is not here or is not the one that they were made with.
END
}

# The WebAssembly in the repository was made with this, and with the lld, wasi-libc and
# libclang-rt-dev-wasm32 of the same Debian 12.
MADE_WITH="Debian clang version 14.0.6"
PACKAGES="clang-14 lld-14 wasi-libc libclang-rt-14-dev-wasm32"

here=$(cd "$(dirname "$0")" && pwd)
caller=$(pwd)
cd "$here"

# Source, folder and output of each, one a line.
MODULES="word-count/word_count word-count word_count
specimen-c/specimen specimen-c specimen_c"

say() { printf 'build-c.sh: %s\n' "$*" >&2; }

# Names in the sources are relative, so that the same bytes come out for every path of the tree.
build_native() {
    ${CC:-cc} -std=c99 -Wall -Wextra -Werror -fPIC -shared -O2 -I../module-runtime/include -o "$2" "$1.c"
}
build_wasm() {
    "$wasm_cc" --target=wasm32-wasi -mexec-model=reactor -std=c99 -Wall -Wextra -Werror -O2 \
        -I../module-runtime/include -Wl,--strip-all -o "$2" "$1.c"
}

# each KIND SUFFIX FOLDER: builds all modules into FOLDER, or into modules/NAME/KIND.
each() {
    echo "$MODULES" | while read -r source name output; do
        folder=${3:-$name/$1}
        mkdir -p "$folder"
        # Under another name first: a process may have the old file mapped.
        "build_$1" "$source" "$folder/.$output.new" || exit 1
        chmod 644 "$folder/.$output.new"
        mv -f "$folder/.$output.new" "$folder/$output.$2"
    done
}

find_clang() {
    for wasm_cc in ${WASM_CC:-clang-14 clang}; do
        if command -v "$wasm_cc" >/dev/null 2>&1; then
            version=$("$wasm_cc" --version | head -n 1)
            return
        fi
    done
    say "clang is not here; on Debian 12 it is in the packages $PACKAGES"
    exit "$1"
}

check() {
    find_clang 77
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    case $version in
    "$MADE_WITH"*) other_clang= ;;
    *) other_clang=yes ;;
    esac
    if ! each wasm wasm "$scratch"; then
        [ "$other_clang" ] || exit 1
        say "the files were made with $MADE_WITH; this is $version, which cannot build them"
        exit 77
    fi
    differs=
    for built in "$scratch"/*.wasm; do
        kept=$(find . -name "${built##*/}" -path '*/wasm/*')
        if [ ! "$kept" ] || ! cmp "$kept" "$built" >&2; then
            differs="$differs ${built##*/}"
        fi
    done
    if [ ! "$differs" ]; then
        say "what is in the repository is what the sources say"
    elif [ "$other_clang" ]; then
        say "cannot compare$differs: made with $MADE_WITH, and this is $version"
        exit 77
    else
        say "not what the sources say:$differs. If a source or module.h was changed on purpose, run" \
            "'modules/build-c.sh --wasm' with the packages $PACKAGES of Debian 12, and commit the files"
        exit 1
    fi
}

# A folder is relative to the caller's current directory.
folder_of() {
    case $1 in
    '' | /*) printf '%s' "$1" ;;
    *) printf '%s/%s' "$caller" "$1" ;;
    esac
}

case ${1-} in
-h | --help) usage ;;
--check)
    [ $# = 1 ] || { usage >&2; exit 2; }
    check
    ;;
--wasm)
    [ $# -le 2 ] || { usage >&2; exit 2; }
    find_clang 1
    each wasm wasm "$(folder_of "${2-}")"
    ;;
-*) usage >&2; exit 2 ;;
*)
    [ $# -le 1 ] || { usage >&2; exit 2; }
    each native so "$(folder_of "${1-}")"
    ;;
esac
