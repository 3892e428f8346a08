# SPDX-License-Identifier: Apache-2.0
# Shared by tests/cli/test_*.sh: a scratch folder, the binary in $ASSAY, checks that say what they wanted.
set -u
root=$ASSAY_SOURCE_DIR
build=$ASSAY_BUILD_DIR
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
export ASSAY_MANIFEST="$root/datasets.manifest"
n_checks=0

fail() {
    echo "FAILED: $*" >&2
    [ -f out.txt ] && sed 's/^/  out| /' out.txt >&2
    [ -f err.txt ] && sed 's/^/  err| /' err.txt >&2
    exit 1
}

# expect CODE COMMAND...: runs it, keeps out.txt and err.txt
expect() {
    want=$1
    shift
    n_checks=$((n_checks + 1))
    "$@" >out.txt 2>err.txt
    got=$?
    [ "$got" -eq "$want" ] || fail "exit code $got, wanted $want: $*"
}

# says FILE TEXT: the fixed string stands in the file
says() {
    n_checks=$((n_checks + 1))
    grep -qF -- "$2" "$1" || fail "$1 does not say: $2"
}

says_not() {
    n_checks=$((n_checks + 1))
    ! grep -qF -- "$2" "$1" || fail "$1 says: $2"
}

# The value behind a label at the start of a line of out.txt
field() { sed -n "s/^$1 *//p" out.txt | head -n 1; }

done_testing() { echo "$n_checks checks"; }
