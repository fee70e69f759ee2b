#!/bin/sh
# Builds the specimen as WebAssembly, as any module in Rust can be built that has `export!`.
set -eu

usage() {
    cat <<'END'
Usage: build.sh [--output FILE]            with the Rust in use, which needs the target
                                           (`rustup target add wasm32-wasip1`)
       build.sh --debian [--output FILE]   with the compiler, the sources of std and the wasi-libc of
                                           Debian 12, which are downloaded and unpacked into a folder
                                           for temporary files; nothing is installed. The cargo and
                                           the linker are still those of the Rust in use.

Without --output, the file is specimen.wasm beside this script. The one in the repository was made
with --debian, by rustc 1.96.0. Its bytes change with the SDK and the compiler, so they are not
compared; what matters is that the conformance suite passes with it.

Environment: CARGO_TARGET_DIR  where cargo builds [default: a folder of its own in target]
END
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
debian=
output=$here/specimen.wasm
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) usage; exit ;;
    --debian) debian=yes ;;
    --output) [ $# -gt 1 ] || { usage >&2; exit 2; }; output=$2; shift ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

sysroot=$(rustc --print sysroot)
sources=$sysroot
extra=
if [ "$debian" ]; then
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    trap 'exit 1' HUP INT TERM
    # apt-get asks no questions here: it only downloads.
    (cd "$scratch" && apt-get download rustc-web libstd-rust-web-1.96 libstd-rust-web-dev rust-web-src libllvm22 wasi-libc >/dev/null)
    for package in "$scratch"/*.deb; do dpkg -x "$package" "$scratch"; done
    sources=$scratch/usr
    # Where rustc looks for the C library of its target.
    mkdir -p "$sources/lib/rustlib/wasm32-wasip1/lib/self-contained"
    cp "$sources"/lib/wasm32-wasi/crt1-*.o "$sources/lib/wasm32-wasi/libc.a" \
        "$sources/lib/rustlib/wasm32-wasip1/lib/self-contained"
    cat > "$scratch/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH=$sources/lib/x86_64-linux-gnu:$sources/lib/llvm-22/lib exec $sources/bin/rustc "\$@"
END
    chmod +x "$scratch/rustc"
    export RUSTC="$scratch/rustc" RUSTC_BOOTSTRAP=1
    extra="-Zbuild-std=std,panic_abort"
    host=$(rustc -vV | sed -n 's/^host: //p')
    export CARGO_TARGET_WASM32_WASIP1_LINKER="$sysroot/lib/rustlib/$host/bin/rust-lld"
fi

# Small, and with the names of the functions, which reports of traps have. No path of this machine.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target/specimen-wasm}"
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_PANIC=abort
export CARGO_PROFILE_RELEASE_STRIP=debuginfo
export RUSTFLAGS="--remap-path-prefix=$root=. --remap-path-prefix=$sources=rust --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
cd "$root"
# shellcheck disable=SC2086
cargo build $extra --package specimen --lib --release --target wasm32-wasip1
# Under another name first: a process may have the old file mapped.
cp "$CARGO_TARGET_DIR/wasm32-wasip1/release/specimen.wasm" "$output.new"
chmod 644 "$output.new"
mv -f "$output.new" "$output"
