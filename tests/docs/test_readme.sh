# SPDX-License-Identifier: Apache-2.0
# Every command of the README's shell fences works as written (from the tree's root, on a scratch store).
# labels: slow
. "$ASSAY_SOURCE_DIR/tests/cli/lib.sh"

ln -s "$root/examples" examples
ln -s "$root/datasets.manifest" datasets.manifest
mkdir -p build && ln -s "$build" build/release
awk '/^```sh/ { inside = 1; next } /^```/ { inside = 0 } inside' "$root/README.md" | sed 's/ *# .*//' >commands.txt
[ "$(grep -c assay commands.txt)" -ge 8 ] || fail "the README shows too few commands"
# the script's own verbs run elsewhere (.ci/run); that they exist is checked here
while read -r line; do
    case $line in
    ./dev*) verb=$(echo "$line" | cut -d' ' -f2)
        n_checks=$((n_checks + 1))
        grep -qE "^$verb\)" "$root/dev" || fail "dev has no verb $verb" ;;
    ?*) expect 0 sh -c "$line" ;;
    esac
done <commands.txt
# links lead somewhere
grep -oE '\]\([^)#]+' "$root/README.md" | cut -c3- | sort -u >links.txt
while read -r link; do
    n_checks=$((n_checks + 1))
    [ -e "$root/$link" ] || fail "the README links to $link, which does not exist"
done <links.txt
done_testing
